"""The page of dead letters: failed jobs, those with alike errors together."""

import re

import pytest
from flask.testing import FlaskClient

from bridge.web import dead
from tests.support.bulk import add_failed
from tests.support.rows import Rows
from tests.support.steps import Steps


def groups(page: str) -> list[tuple[str, str]]:
    """The address and the number of each group's jobs."""
    return re.findall(r'data-name="Jobs"><a href="([^"]+)">([^<]+)</a>', page)


def test_alike_errors_are_one_group_and_each_group_leads_to_its_jobs(client: FlaskClient, rows: Rows) -> None:
    add_failed(rows, 3, error="timeout after 30 s")
    add_failed(rows, 4, error="timeout after 31.5 s", queue="other")
    add_failed(rows, 2, error="KeyError: 'name'")
    rows.add_job(status="failed")
    rows.add_job(status="pending", prompt="timeout after 30 s")

    page = client.get("/dead").text

    assert "All 10 failed jobs" in page
    assert [count for _, count in groups(page)] == ["7", "2", "1"]
    for address, count in groups(page):
        assert client.get(address).text.count('<th scope="row">') == int(count)
    assert "other, tests: build" in page
    assert "No error message" in page or "No end was noted" in page
    assert re.findall('name="action" value="([a-z]+)"', page)[:2] == ["retry", "replay"]


def test_a_group_is_retried_as_one(client: FlaskClient, rows: Rows) -> None:
    add_failed(rows, 3, error="timeout after 30 s")
    add_failed(rows, 4, error="boom")
    page = client.get("/dead").text
    token = re.findall('name="csrf" value="([^"]+)"', page)[0]
    meant = re.findall('name="q" value="([^"]+)"', page)[1]

    planned = client.post("/bulk", data={"csrf": token, "action": "retry", "q": meant})

    assert "<h1>Retry 3 jobs</h1>" in client.get(planned.location).text


def test_more_groups_than_a_page_shows_are_on_the_next_ones(
    client: FlaskClient, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead, "_GROUPS_SHOWN", 2)
    for word in ("one", "two", "three", "four", "five"):
        add_failed(rows, 1, error=word)
    address, seen = "/dead", list[str]()
    while address:
        page = client.get(address).text
        assert "in a part of all groups" in page or "No more groups" in page
        seen += [group for group, _ in groups(page)]
        found = re.search(r'rel="next" href="([^"]+)"', page)
        address = found[1] if found else ""

    assert len(seen) == len(set(seen)) == 5


def test_a_group_that_is_too_large_to_count_says_so(
    client: FlaskClient, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead, "_JOBS_COUNTED", 3)
    add_failed(rows, 4)

    assert [count for _, count in groups(client.get("/dead").text)] == ["3 or more"]


def test_without_dead_letters_the_page_says_so(client: FlaskClient) -> None:
    assert "No job has failed for good." in client.get("/dead").text


def test_a_malformed_beginning_is_refused(client: FlaskClient) -> None:
    assert client.get("/dead?after=x' OR 1=1").status_code == 400


def test_one_job_is_spoken_of_as_one(client: FlaskClient, rows: Rows, steps: Steps) -> None:
    add_failed(rows, 1, error="boom")
    steps.add_worker(slots=1)

    assert "One failed job" in client.get("/dead").text
    assert "Retry the one that matches" in client.get("/jobs?q=status:failed").text
    assert ">1 with 1 slot<" in client.get("/queues").text
