"""Two calls on one job at once: the first pauses inside its transaction and holds its locks while the second runs."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from bridge.errors import PostgresBusyError
from bridge.job import Claim
from bridge.postgres.attempts import AttemptKey, Event
from bridge.postgres.queue_rows import Span
from tests.support.rows import Rows
from tests.support.steps import LEASE, Steps

BUSY = "busy"  # the second met a lock and gave up: its caller repeats the call


@dataclass
class Setup:
    """One job in one of STATES, with its workers and its attempt."""

    job_id: UUID
    workers: tuple[UUID, UUID]
    held: AttemptKey  # the latest attempt; exec is None until a worker starts it
    execs: tuple[UUID, UUID]  # for the start calls of the pair

    @property
    def hand_over(self) -> AttemptKey:
        """The latest attempt, as in its message."""
        return AttemptKey(self.job_id, self.held.fence, None)

    def start(self, steps: Steps, which: int) -> bool:
        held = AttemptKey(self.job_id, max(self.held.fence, 1), self.execs[which])
        return held.exec in steps.book.start(self.workers[which], [held])

    def release(self, steps: Steps, _: int) -> bool:
        if self.held.exec is not None:
            return steps.release(self.held)
        return bool(steps.queue.release_claims([Claim(self.job_id, self.held.fence, "coding", "x")], "test"))


# The second argument: 0 for the first of the pair, 1 for the second.
Outcome = tuple[tuple[Any, ...], dict[int, Any]]
Call = Callable[[Setup, Steps, int], Any]
CALLS: dict[str, Call] = {
    "claim_jobs": lambda _, steps, __: [
        claim.fence for claim in steps.queue.claim_jobs("bridge", limit=5, lease=LEASE, spans=[Span("coding", 5)])
    ],
    "claim_suspects": lambda _, steps, __: [
        claim.fence for claim in steps.queue.claim_suspects("bridge", lease=LEASE, limit=5)
    ],
    "keep_claims": lambda setup, steps, _: bool(steps.book.keep([setup.hand_over], LEASE)),
    "fail_claims": lambda setup, steps, _: steps.fail(setup.hand_over),
    "start_jobs": Setup.start,
    "heartbeat_worker": lambda setup, steps, _: list((steps.heartbeat(setup.workers[0], setup.held) or {}).values()),
    "complete_jobs": lambda setup, steps, _: steps.complete(setup.held),
    "fail_jobs": lambda setup, steps, _: steps.fail(setup.held),
    "cancel_attempts": lambda setup, steps, _: steps.call_off(setup.held),
    "release_jobs": Setup.release,
    "reclaim_jobs": lambda _, steps, __: list(steps.reclaim().values()),
    "cancel_job": lambda setup, steps, _: steps.queue.cancel_job(setup.job_id),
    "retry_job": lambda setup, steps, _: steps.queue.retry_job(setup.job_id),
    "add_session_events": lambda setup, steps, _: steps.book.add_events([Event(setup.held, "terminal", "{}")]),
    "stop_worker": lambda setup, steps, _: steps.book.stop(setup.workers[0]),
    "claim_next_job": lambda _, steps, __: steps.queue.claim_next_job() is not None,
    "complete_job": lambda setup, steps, _: steps.queue.complete_job(setup.job_id),
    "fail_job": lambda setup, steps, _: steps.queue.fail_job(setup.job_id, "boom"),
}
SKIPPED: dict[str, Any] = {
    "claim_jobs": [],
    "claim_suspects": [],
    "claim_next_job": False,
    "reclaim_jobs": [],
}  # the answers of calls that skipped a locked row
STATES = [
    "pending",
    "handed over",
    "hand-over expired",
    "running",
    "worker silent",
    "crashed",
    "cancel requested",
    "by the Node worker",
    "failed",
]


def set_up(state: str, rows: Rows, steps: Steps) -> Setup:
    rows.clear()
    job_id = rows.add_job(session_id=rows.add_session(), max_retries=2)
    workers = (steps.add_worker(), steps.add_worker())
    claim = steps.claim_one()
    held = AttemptKey(job_id, claim.fence, None)
    if state == "pending":
        steps.queue.release_claims([claim], "test")  # its message is stale now
    elif state == "by the Node worker":
        steps.queue.release_claims([claim], "test")
        assert steps.queue.claim_next_job()
        held = AttemptKey(job_id, claim.fence + 1, None)
    elif state == "hand-over expired":
        steps.expire(job_id)
    elif state != "handed over":
        started = steps.start(workers[0], claim)
        assert started
        held = started
    if state == "worker silent":
        steps.silence(workers[0])
    elif state == "crashed":
        steps.book.stop(workers[0])
        steps.reclaim()
    elif state == "cancel requested":
        steps.queue.cancel_job(job_id)
    elif state == "failed":
        steps.fail(held, final=True)
    return Setup(job_id, workers, held, (uuid4(), uuid4()))


_OUTCOME = """
    SELECT exec, status, fence, retry_count, due, claimed_by,
           cancel_requested_at IS NOT NULL AS cancel_requested, lease_expires_at IS NOT NULL AS leased,
           ARRAY(SELECT fence || ' ' || outcome FROM job_attempts a WHERE a.job_id = j.id ORDER BY fence) AS attempts,
           (SELECT status FROM coding_sessions) AS session,
           (SELECT count(*) FROM session_events) AS events,
           (SELECT count(*) FROM workers WHERE stopped_at IS NOT NULL) AS stopped,
           ARRAY(SELECT action FROM job_audit ORDER BY action) AS audit
    FROM coding_jobs j WHERE id = %s"""


def outcome(setup: Setup, rows: Rows) -> tuple[Any, ...]:
    """Everything that a call may change, except values that differ from run to run."""
    names = {setup.held.exec: "held", setup.execs[0]: "first", setup.execs[1]: "second", None: None}
    found = rows.one(_OUTCOME, [setup.job_id])
    return (names[found.pop("exec")], *found.values())


def in_turn(state: str, calls: list[tuple[str, int]], rows: Rows, steps: Steps) -> Outcome:
    """Run the calls one after another. Returns the rows, and the answers by position in the pair."""
    setup = set_up(state, rows, steps)
    answers = {which: CALLS[name](setup, steps, which) for name, which in calls}
    return outcome(setup, rows), answers


def at_once(state: str, first: str, second: str, rows: Rows, steps: tuple[Steps, Steps], *, commit: bool) -> Outcome:
    """Begin the second before the first has ended. A second that skipped the row, or gave up, is repeated."""
    setup = set_up(state, rows, steps[0])
    answers: dict[int, Any] = {}

    def run_second() -> None:
        try:
            answers[1] = CALLS[second](setup, steps[1], 1)
        except PostgresBusyError:
            answers[1] = BUSY

    there = steps[1].link.connection.info.backend_pid
    connection = steps[0].link.connection
    connection.execute("BEGIN")
    thread = threading.Thread(target=run_second)
    try:
        answers[0] = CALLS[first](setup, steps[0], 0)
        thread.start()
        deadline = time.monotonic() + 10
        while thread.is_alive() and not _waits_for_a_lock(rows, there):
            assert time.monotonic() < deadline, f"{second} neither ends nor waits for a lock"
            thread.join(0.001)
    except BaseException:
        connection.execute("ROLLBACK")  # or the locks outlive this test
        raise
    connection.execute("COMMIT" if commit else "ROLLBACK")
    thread.join(10)
    assert not thread.is_alive()
    if not commit:
        del answers[0]
    if answers[1] in (BUSY, SKIPPED.get(second, BUSY)):
        answers[1] = CALLS[second](setup, steps[1], 1)  # its caller repeats it
    return outcome(setup, rows), answers


def _waits_for_a_lock(rows: Rows, pid: int) -> bool:
    return bool(rows.all("SELECT FROM pg_locks WHERE pid = %s AND NOT granted", [pid]))
