"""The page of worker processes: what it shows, and how one is drained and resumed there."""

import re
from uuid import UUID, uuid4

from flask.testing import FlaskClient

from bridge.settings import Settings
from bridge.web.access import csrf
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.web import client_of


def act(client: FlaskClient, worker: UUID, action: str, **form: str) -> int:
    with client.session_transaction() as cookie:
        token = csrf.token_of(cookie)
    return client.post(f"/workers/{worker}/{action}", data={"csrf": token} | form).status_code


def row(client: FlaskClient, worker: UUID) -> str:
    found = re.search(rf'<tr id="worker-{worker}">.*?</tr>', client.get("/workers").text, re.DOTALL)
    assert found
    return " ".join(found[0].split())


def test_live_and_stopped_workers_are_shown(client: FlaskClient, steps: Steps, rows: Rows) -> None:
    assert "mobvibe worker" in client.get("/workers").text

    busy, silent = steps.add_worker(slots=7), steps.add_worker(slots=3)
    rows.add_job()
    rows.add_job()
    for claim in steps.claim():
        steps.start(busy, claim)
    steps.silence(silent)

    assert ">live<" in row(client, busy)
    assert ">2 of 7<" in row(client, busy)
    assert ">silent<" in row(client, silent)
    assert ">0 of 3<" in row(client, silent)
    assert "<form" not in row(client, silent)


def test_an_operator_drains_and_resumes_a_worker_with_a_reason(client: FlaskClient, steps: Steps, rows: Rows) -> None:
    worker = steps.add_worker()
    assert re.search(r"Drain host:\w+: it runs 0 jobs</button>", row(client, worker))

    assert act(client, worker, "drain", reason="an upgrade") == 302

    assert re.search(r">live, drained by an operator <time", row(client, worker)), "it has not obeyed yet"
    rows.all("UPDATE workers SET draining = true")
    assert re.search(r">draining, drained by an operator <time", row(client, worker))
    assert re.search(r"Resume host:\w+: it runs", row(client, worker))
    assert act(client, worker, "resume") == 302
    assert rows.value("SELECT drain_requested_at FROM workers") is None
    assert rows.all("SELECT action, done_by, reason FROM operator_audit ORDER BY id") == [
        {"action": "drain_worker", "done_by": "dashboard", "reason": "an upgrade"},
        {"action": "resume_worker", "done_by": "dashboard", "reason": None},
    ]
    assert act(client, uuid4(), "drain") == 404


def test_a_drain_needs_the_token_and_an_administrator(
    client: FlaskClient, settings: Settings, steps: Steps, rows: Rows
) -> None:
    worker = steps.add_worker()
    reader = client_of(settings, read_only=True)

    assert client.post(f"/workers/{worker}/drain", data={}).status_code == 403
    assert "<form" not in row(reader, worker)
    assert act(reader, worker, "drain") == 403

    assert rows.value("SELECT drain_requested_at FROM workers") is None
