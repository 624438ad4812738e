"""A job's failure reaches Sentry once: the documented recipes, in a real worker, with Sentry's own client."""

import gzip
import json
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.acceptance.processes import Fleet
from tests.support.rows import Rows
from tests.support.waiting import eventually

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "error-tracking.md"
EVERY_ATTEMPT, FOR_GOOD = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
TOO_LATE = """
import sentry_sdk
from sentry_sdk.integrations.dramatiq import DramatiqIntegration
from bridge.broker import connect_broker
connect_broker()
sentry_sdk.init(integrations=[DramatiqIntegration()])
from actors import reports
"""
ACTORS = """
import dramatiq
from bridge import Fail, Job, Retry, actor

@actor(queue_name="topic")
def explode(job: Job) -> None:
    raise ValueError(f"attempt {job.attempt}")

@actor(queue_name="topic")
def give_up(job: Job) -> None:
    raise Fail("there is no point")

@actor(queue_name="topic")
def ask_again(job: Job) -> None:
    raise Retry("not yet", delay=3600)

@dramatiq.actor(queue_name="topic")
def plain(x: int) -> None:
    raise KeyError(x)

@actor(queue_name="topic")
def send_another(job: Job) -> None:
    give_up.send()
"""
Events = list[dict[str, Any]]


class Tracker:
    """Receives envelopes as Sentry's server does, and keeps the errors in them."""

    def __init__(self) -> None:
        self.events: Events = []
        tracker = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                tracker.take(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.dsn = f"http://key@127.0.0.1:{self._server.server_port}/1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, envelope: bytes) -> None:
        lines = envelope.splitlines()[1:]
        for head, body in zip(lines[::2], lines[1::2], strict=False):
            if json.loads(head)["type"] == "event":
                self.events.append(json.loads(body))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def tracker() -> Iterator[Tracker]:
    tracker = Tracker()
    yield tracker
    tracker.close()


def run(outside: Fleet, tracker: Tracker, rows: Rows, package: str) -> dict[str, UUID]:
    """Run a job of each kind to its end, and end the worker. Returns the jobs by name."""
    (outside.project / "actors" / "__init__.py").write_text(package)
    (outside.project / "actors" / "reports.py").write_text(ACTORS)
    kinds: dict[str, Any] = {"explode": {}, "give_up": {}, "ask_again": {}, "plain": {"args": [7]}, "strange": {"x": 1}}
    jobs = {
        name: rows.add_job(
            actor="plain" if name == "strange" else name,
            queue="topic",
            payload=payload,
            max_retries=1 if name == "plain" else 2,
        )
        for name, payload in kinds.items()
    }
    outside.bridge()
    worker = outside.start(
        sys.executable, "-m", "bridge", "worker", SENTRY_DSN=tracker.dsn, MAX_CONCURRENT_JOBS="2", LOG_FORMAT="json"
    )
    eventually(
        lambda: all(rows.job(jobs[name])["status"] == "failed" for name in jobs.keys() - {"ask_again"}), seconds=40
    )
    eventually(lambda: rows.outcomes(jobs["ask_again"]) == ["failed"])
    assert worker.stop() == 0
    assert "Unexpected failure" not in worker.output
    assert worker.output.count("in explode") == 2, "our log shows where it was raised, whatever the tracker does"
    return jobs


def of(events: Events, job_id: UUID) -> Events:
    return [event for event in events if str(job_id) in json.dumps([event.get("tags"), event.get("extra")])]


def exceptions(events: Events) -> list[tuple[str, str]]:
    return [(event["exception"]["values"][-1]["type"], event["exception"]["values"][-1]["value"]) for event in events]


def test_each_failed_attempt_is_one_event_with_its_actor_and_job(outside: Fleet, tracker: Tracker, rows: Rows) -> None:
    jobs = run(outside, tracker, rows, EVERY_ATTEMPT)

    events = {name: of(tracker.events, job_id) for name, job_id in jobs.items()}
    assert exceptions(events["explode"]) == [("ValueError", "attempt 1"), ("ValueError", "attempt 2")]
    assert exceptions(events["give_up"]) == [("Fail", "there is no point")]
    assert exceptions(events["plain"]) == [("KeyError", "7")]
    assert events["ask_again"] == []
    (strange,) = events["strange"]
    assert strange["logentry"]["message"] == "Job failed"
    assert len(tracker.events) == 5

    for event in events["explode"]:
        assert event["tags"] == {"actor": "explode", "job": str(jobs["explode"])}
        message = event["contexts"]["dramatiq"]["data"]
        assert (message["actor_name"], message["message_id"], message["args"]) == (
            "explode", str(jobs["explode"]), [str(jobs["explode"])],
        )  # fmt: skip


@pytest.mark.parametrize("package", [FOR_GOOD, TOO_LATE], ids=["without the integration", "init too late"])
def test_by_its_log_line_a_job_that_failed_for_good_is_one_event(
    outside: Fleet, tracker: Tracker, rows: Rows, package: str
) -> None:
    jobs = run(outside, tracker, rows, package)

    events = {name: of(tracker.events, job_id) for name, job_id in jobs.items()}
    assert exceptions(events["explode"]) == [("ValueError", "attempt 2")]
    assert exceptions(events["give_up"]) == [("Fail", "there is no point")]
    assert exceptions(events["plain"]) == [("KeyError", "7")]
    assert events["ask_again"] == []
    assert len(tracker.events) == 4
    (event,) = events["explode"]
    assert (event["extra"]["actor"], event["extra"]["jobId"]) == ("explode", str(jobs["explode"]))
    if package is FOR_GOOD:
        assert event["tags"] == {"actor": "explode", "job": str(jobs["explode"])}


def test_a_message_with_headers_of_a_tracer_is_a_job(outside: Fleet, tracker: Tracker, rows: Rows) -> None:
    (outside.project / "actors" / "__init__.py").write_text(EVERY_ATTEMPT)
    (outside.project / "actors" / "reports.py").write_text(ACTORS)
    job = rows.add_job(actor="send_another", queue="topic")
    outside.bridge()
    outside.start(sys.executable, "-m", "bridge", "worker", SENTRY_DSN=tracker.dsn)

    eventually(lambda: rows.job(job)["status"] in ("completed", "failed"), seconds=30)

    assert (rows.job(job)["status"], rows.job(job)["error_message"]) == ("completed", None)
    assert rows.value("SELECT payload FROM coding_jobs WHERE actor = 'give_up'") == {}
