"""The form on the page of a job that runs a copy of it with changes."""

import re
from html import unescape
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from bridge.settings import Settings
from tests.support.rows import Rows
from tests.support.web import client_of


def form_of(client: FlaskClient, job_id: UUID) -> dict[str, str]:
    """What the form on the page has, as a browser would send it."""
    page = client.get(f"/jobs/{job_id}").text
    form = page[page.index('class="stacked"') :]
    fields = re.findall(r'name="(csrf|copy|reason)"[^>]* value="([^"]*)"', form)
    areas = re.findall(r'<textarea[^>]* name="(\w+)"[^>]*>\n(.*?)</textarea>', form, re.DOTALL)
    return {name: unescape(value) for name, value in [*fields, *areas]}


def send(client: FlaskClient, job_id: UUID, **changes: str) -> TestResponse:
    return client.post(f"/jobs/{job_id}/replay", data=form_of(client, job_id) | changes)


def copies(rows: Rows) -> list[dict[str, Any]]:
    return rows.all("SELECT j.* FROM coding_jobs j JOIN job_audit a ON a.copy = j.id ORDER BY a.id")


def test_a_job_is_replayed_with_a_changed_payload_and_prompt(client: FlaskClient, rows: Rows) -> None:
    old = rows.add_job(status="failed", prompt="paint it blue", payload={"n": 1})

    answer = send(client, old, payload='{"n": true}', prompt="paint it\r\nred", reason="blue is out")

    (copy,) = copies(rows)
    assert (answer.status_code, answer.location) == (302, f"/jobs/{copy['id']}")
    assert (copy["payload"], copy["prompt"], copy["status"]) == ({"n": True}, "paint it\nred", "pending")
    assert rows.status(old) == "failed"
    assert f'replayed as <a href="/jobs/{copy["id"]}"' in client.get(f"/jobs/{old}").text
    page = client.get(f"/jobs/{copy['id']}").text
    assert f'a replay of <a href="/jobs/{old}"' in page
    assert "“blue is out”" in page


def test_what_the_form_does_not_change_stays_exactly_as_it_is(client: FlaskClient, rows: Rows) -> None:
    old = rows.value(
        "INSERT INTO coding_jobs (payload, prompt) VALUES (%s, %s) RETURNING id",
        ['{"price": 1.10, "big": 123456789012345678901234567890.5}', "\n  two\r\nlines "],
    )

    assert send(client, old).status_code == 302

    assert rows.all("SELECT DISTINCT payload::text, prompt FROM coding_jobs") == [
        {"payload": '{"big": 123456789012345678901234567890.5, "price": 1.10}', "prompt": "\n  two\r\nlines "}
    ]


def test_a_job_without_a_prompt_is_replayed_without_one(client: FlaskClient, rows: Rows) -> None:
    send(client, rows.add_job())

    assert copies(rows)[0]["prompt"] is None


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        ('{"n": ', "Payload: is not JSON: "),
        ("[1]", "Payload: must be a JSON object"),
        ('{"n": NaN}', "Payload: is not JSON: it has no NaN"),
        ('{"n": 1e999}', "cannot be stored as JSON"),
        ("[" * 15_000, "Payload: is not JSON: "),
        ("", "Payload: is not JSON: "),
    ],
)
def test_a_bad_payload_is_one_line_and_nothing_typed_is_lost(
    client: FlaskClient, rows: Rows, payload: str, problem: str
) -> None:
    old = rows.add_job(prompt="paint it blue")
    form = form_of(client, old) | {"payload": payload, "prompt": "<b>red</b>", "reason": 'a "reason"'}

    answer = client.post(f"/jobs/{old}/replay", data=form)

    assert answer.status_code == 400
    shown = unescape(answer.text)
    assert problem in re.findall(r'<p class="problem" role="alert">([^\n]*)</p>', shown)[0]
    for typed in (f"\n{payload}</textarea>", "\n<b>red</b></textarea>", 'value="a "reason""', form["copy"]):
        assert typed in shown
    assert "<b>red" not in answer.text
    assert copies(rows) == []


def test_a_form_that_is_sent_twice_makes_one_copy(client: FlaskClient, rows: Rows) -> None:
    old = rows.add_job()
    form = form_of(client, old)

    addresses = {client.post(f"/jobs/{old}/replay", data=form).location for _ in range(2)}

    assert addresses == {f"/jobs/{form['copy']}"}
    assert len(copies(rows)) == 1


def test_a_malformed_form_and_a_job_that_is_gone_are_refused(client: FlaskClient, rows: Rows) -> None:
    old = rows.add_job()
    form = form_of(client, old)

    assert client.post(f"/jobs/{old}/replay", data=form | {"copy": "x"}).status_code == 400
    assert client.post(f"/jobs/{uuid4()}/replay", data=form).status_code == 404
    assert copies(rows) == []


def test_a_replay_needs_the_token_of_the_page(client: FlaskClient, rows: Rows) -> None:
    old = rows.add_job()

    assert send(client, old, csrf="guessed").status_code == 403
    assert copies(rows) == []


def test_a_reader_has_no_form_and_replays_nothing(settings: Settings, client: FlaskClient, rows: Rows) -> None:
    old = rows.add_job()
    reader = client_of(settings, read_only=True)

    assert 'class="stacked"' not in reader.get(f"/jobs/{old}").text
    assert reader.post(f"/jobs/{old}/replay", data=form_of(client, old)).status_code == 403
    assert copies(rows) == []


def test_what_is_too_long_for_the_form_is_not_in_it_and_stays_as_it_is(client: FlaskClient, rows: Rows) -> None:
    old = rows.add_job(payload={"text": "ä" * 5_000}, prompt="short")

    page = client.get(f"/jobs/{old}").text
    assert "The payload is too long for this form" in page
    assert send(client, old, prompt="x" * 20_000).status_code == 302

    (copy,) = copies(rows)
    assert (copy["payload"], copy["prompt"]) == ({"text": "ä" * 5_000}, "x" * 20_000)


def test_hidden_prompts_are_not_in_the_form_and_the_copy_has_them(settings: Settings, rows: Rows) -> None:
    old = rows.add_job(prompt="secret", payload={"key": "secret"})
    client = client_of(settings, hide_prompts=True)

    page = client.get(f"/jobs/{old}").text
    assert "secret" not in page
    assert "too long" not in page
    assert send(client, old).status_code == 302

    (copy,) = copies(rows)
    assert (copy["payload"], copy["prompt"]) == ({"key": "secret"}, "secret")
    assert "secret" not in client.get(f"/jobs/{copy['id']}").text
