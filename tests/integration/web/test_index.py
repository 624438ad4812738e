"""The start page."""

import random
import re
from datetime import UTC, datetime
from html import unescape

import pytest
from flask.testing import FlaskClient

from tests.support.rows import Rows
from tests.support.steps import Steps

LINK = re.compile(r'<a href="([^"]+)" data-(?:queue-)?count="(\w+)">(\d+)</a>')


def test_the_start_page_shows_addresses_and_counts(client: FlaskClient, rows: Rows) -> None:
    rows.add_job(queue="reports")

    answer = client.get("/")

    assert answer.status_code == 200
    for text in ("/health", "/livez", "/readyz", "/stats", "/metrics", "start-coding-session", "reports", "No worker"):
        assert text in answer.text
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    for asset in re.findall(r'(?:src|href)="(/static/[^"]+)"', answer.text):
        with client.get(asset) as served:
            assert served.status_code == 200
    assert not re.search(r"<script(?! src)|<style| style=| on\w+=", answer.text), "the policy allows no inline code"


def test_the_start_page_says_that_postgres_is_unreachable(cut_off: FlaskClient) -> None:
    answer = cut_off.get("/")

    assert answer.status_code == 200
    assert "Postgres is unreachable" in answer.text
    assert not re.search("geheim|port 9", answer.text)


@pytest.mark.parametrize("seed", range(3))
def test_each_count_is_that_of_the_list_behind_it(client: FlaskClient, rows: Rows, seed: int) -> None:
    chosen = random.Random(seed)
    jobs = [
        rows.add_job(
            queue=chosen.choice(["coding", "reports", "eu-2.x"]),
            status=chosen.choice(STATUSES),
            claimed_at=datetime.now(UTC),
        )
        for _ in range(160)
    ]
    for job in chosen.sample(jobs, 20):
        rows.all("SELECT retry_job(%s)", [job])
    rows.all("DELETE FROM coding_jobs WHERE id = ANY (%s)", [chosen.sample(jobs, 20)])

    links = LINK.findall(client.get("/").text)

    assert len(links) == 5 + 3 * 3
    for address, _, count in links:
        assert listed(client, unescape(address)) == int(count), address


STATUSES = ("pending", "processing", "completed", "failed", "cancelled")


def listed(client: FlaskClient, address: str) -> int:
    """How many jobs a list has on all its pages."""
    count = 0
    while address:
        page = client.get(address).text
        count += len(re.findall(r'<th scope="row"><a href="/jobs/', page))
        found = re.search(r'rel="next" href="([^"]+)"', page)
        address = unescape(found[1]) if found else ""
    return count


def test_the_tables_say_what_the_charts_show(client: FlaskClient, rows: Rows, steps: Steps) -> None:
    for _ in range(7):
        rows.all(
            "INSERT INTO coding_jobs (status, fence, created_at, claimed_at, started_at, completed_at)"
            " SELECT 'completed', 1, at, at, at, at + interval '2 s'"
            " FROM (SELECT now() - interval '2 minutes') AS t (at)"
        )
    steps.queue.record_history()
    rows.all(
        "INSERT INTO latency_history SELECT 60, at, 'coding', 'hand_over', 6, 1 FROM queue_history"
        " WHERE inserted > 0 AND seconds = 60"
    )

    page = client.get("/").text

    assert "7 completed" in page
    assert "Claimed → handed over 3 ms / 3 ms / 3 ms" in page
    assert re.search(r"<td>2\.[0-5] s / 2\.[0-5] s / 2\.[0-5] s</td>", page)
    assert 'aria-current="true">1h' in page
    assert 'aria-current="true">30d' in client.get("/?range=30d").text
    assert 'aria-current="true">1h' in client.get("/?range=nonsense").text


def test_the_latest_failures_are_listed(client: FlaskClient, rows: Rows) -> None:
    job = rows.add_job(status="failed", error_message="<b>boom</b>\nsecond line")

    page = client.get("/").text

    assert f"/jobs/{job}" in page
    assert "&lt;b&gt;boom" in page
    assert "second line" not in page


def test_without_a_history_the_page_says_why(client: FlaskClient, rows: Rows) -> None:
    rows.all("DROP TABLE queue_history")

    assert "mobvibe migrate up" in client.get("/").text
