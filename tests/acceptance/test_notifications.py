"""Notifications that bridges send for the inserts, with real bridges: every listener hears of every job, once."""

import signal
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from tests.acceptance.processes import Fleet, Process
from tests.support.invariants import check_invariants
from tests.support.notifications import NotificationRecorder
from tests.support.rows import Rows
from tests.support.waiting import eventually

PROMISED = "SELECT bridge FROM notification_relay WHERE relays_until > clock_timestamp() + interval '0.3 s'"
SLOW_POLL = {"POLL_INTERVAL_MS": "600000"}


@pytest.fixture
def recorder(dsn: str) -> Iterator[NotificationRecorder]:
    recorder = NotificationRecorder(dsn, "new_job")
    yield recorder
    recorder.connection.close()


def insert_until_promised(rows: Rows, tmp_path: Path) -> tuple[list[UUID], str]:
    """Insert many jobs until a bridge has promised; the jobs, and which bridge."""
    jobs: list[UUID] = []

    def promised() -> str:
        jobs.extend(add(rows, tmp_path) for _ in range(40))
        return "".join(row["bridge"] for row in rows.all(PROMISED))

    return jobs, eventually(promised, seconds=30, what="a promise")


def add(rows: Rows, tmp_path: Path) -> UUID:
    return rows.add_job(actor="write_line", queue="topic", payload={"file": str(tmp_path / "effects")})


def check_all_are_heard_and_run(rows: Rows, recorder: NotificationRecorder, jobs: list[UUID]) -> None:
    heard: list[str] = []

    def all_are_heard() -> bool:
        heard.extend(note["job_id"] for _, note in recorder.received())
        return len(heard) >= len(jobs)

    eventually(all_are_heard, seconds=5, what="all notifications")
    assert sorted(heard) == sorted(map(str, jobs))
    eventually(lambda: rows.value("SELECT count(*) FROM coding_jobs WHERE status <> 'completed'") == 0, seconds=20)
    check_invariants(rows)


def process_of(bridges: list[Process], name: str) -> Process:
    return next(one for one in bridges if name.endswith(f":{one.popen.pid}"))


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_a_bridge_that_ends_under_a_promise_leaves_no_job_without_notification(
    outside: Fleet, rows: Rows, recorder: NotificationRecorder, tmp_path: Path, signum: signal.Signals
) -> None:
    bridges = [outside.bridge(**SLOW_POLL) for _ in range(2)]
    outside.worker()
    jobs, name = insert_until_promised(rows, tmp_path)

    process_of(bridges, name).send(signum)
    jobs += [add(rows, tmp_path) for _ in range(20)]

    check_all_are_heard_and_run(rows, recorder, jobs)


def test_the_next_bridge_sends_what_the_only_one_left(
    outside: Fleet, rows: Rows, recorder: NotificationRecorder, tmp_path: Path
) -> None:
    only = outside.bridge(**SLOW_POLL)
    outside.worker()
    jobs, _ = insert_until_promised(rows, tmp_path)
    only.send(signal.SIGKILL)
    jobs += [add(rows, tmp_path) for _ in range(20)]
    assert rows.value("SELECT count(*) FROM job_notifications") > 0

    outside.bridge(**SLOW_POLL)

    check_all_are_heard_and_run(rows, recorder, jobs)


def test_nobody_waits_for_a_poll_while_inserts_come_and_go(
    outside: Fleet, rows: Rows, recorder: NotificationRecorder, tmp_path: Path
) -> None:
    outside.bridge(**SLOW_POLL)
    outside.worker()
    jobs: list[UUID] = []
    for _ in range(3):
        more, _ = insert_until_promised(rows, tmp_path)
        jobs += more
        eventually(lambda: not rows.all(PROMISED), what="the end of the promise")
        jobs.append(add(rows, tmp_path))

    check_all_are_heard_and_run(rows, recorder, jobs)
