"""Two calls on one job at once: the first stops inside its transaction, its locks in hand, while the second runs."""

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

BUSY = "busy"  # the second met a lock and gave up: its caller says the same again


@dataclass
class Scene:
    """One job, somewhere on its road, with whoever has to do with it."""

    job_id: UUID
    workers: tuple[UUID, UUID]
    held: AttemptKey  # the latest attempt; exec is None while nobody has started it
    execs: tuple[UUID, UUID]  # for starts to come

    @property
    def hand_over(self) -> AttemptKey:
        """The latest attempt as somebody knows it who has not started it."""
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
Call = Callable[[Scene, Steps, int], Any]
CALLS: dict[str, Call] = {
    "claim_jobs": lambda _, steps, __: [
        claim.fence for claim in steps.queue.claim_jobs("bridge", limit=5, lease=LEASE, spans=[Span("coding", 5)])
    ],
    "claim_suspects": lambda _, steps, __: [
        claim.fence for claim in steps.queue.claim_suspects("bridge", lease=LEASE, line=5)
    ],
    "keep_claims": lambda scene, steps, _: bool(steps.book.keep([scene.hand_over], LEASE)),
    "fail_claims": lambda scene, steps, _: steps.fail(scene.hand_over),
    "start_jobs": Scene.start,
    "heartbeat_worker": lambda scene, steps, _: list((steps.heartbeat(scene.workers[0], scene.held) or {}).values()),
    "complete_jobs": lambda scene, steps, _: steps.complete(scene.held),
    "fail_jobs": lambda scene, steps, _: steps.fail(scene.held),
    "cancel_attempts": lambda scene, steps, _: steps.call_off(scene.held),
    "release_jobs": Scene.release,
    "reclaim_jobs": lambda _, steps, __: list(steps.reclaim().values()),
    "cancel_job": lambda scene, steps, _: steps.queue.cancel_job(scene.job_id),
    "retry_job": lambda scene, steps, _: steps.queue.retry_job(scene.job_id),
    "add_session_events": lambda scene, steps, _: steps.book.add_events([Event(scene.held, "terminal", "{}")]),
    "stop_worker": lambda scene, steps, _: steps.book.stop(scene.workers[0]),
    "claim_next_job": lambda _, steps, __: steps.queue.claim_next_job() is not None,
    "complete_job": lambda scene, steps, _: steps.queue.complete_job(scene.job_id),
    "fail_job": lambda scene, steps, _: steps.queue.fail_job(scene.job_id, "boom"),
}
PASS_OVER: dict[str, Any] = {
    "claim_jobs": [],
    "claim_suspects": [],
    "claim_next_job": False,
    "reclaim_jobs": [],
}  # what they say when a row is left for the next time
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


def set_up(state: str, rows: Rows, steps: Steps) -> Scene:
    rows.clear()
    job_id = rows.add_job(session_id=rows.add_session(), max_retries=2)
    workers = (steps.add_worker(), steps.add_worker())
    claim = steps.claim_one()
    held = AttemptKey(job_id, claim.fence, None)
    if state == "pending":
        steps.queue.release_claims([claim], "test")  # a stale message is about
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
    return Scene(job_id, workers, held, (uuid4(), uuid4()))


_OUTCOME = """
    SELECT exec, status, fence, retry_count, due, claimed_by,
           cancel_requested_at IS NOT NULL AS cancel_requested, lease_expires_at IS NOT NULL AS leased,
           ARRAY(SELECT fence || ' ' || outcome FROM job_attempts a WHERE a.job_id = j.id ORDER BY fence) AS attempts,
           (SELECT status FROM coding_sessions) AS session,
           (SELECT count(*) FROM session_events) AS events,
           (SELECT count(*) FROM workers WHERE stopped_at IS NOT NULL) AS stopped,
           ARRAY(SELECT action FROM job_audit ORDER BY action) AS audit
    FROM coding_jobs j WHERE id = %s"""


def outcome(scene: Scene, rows: Rows) -> tuple[Any, ...]:
    """All that a call may change, without what differs from run to run."""
    names = {scene.held.exec: "held", scene.execs[0]: "first", scene.execs[1]: "second", None: None}
    found = rows.one(_OUTCOME, [scene.job_id])
    return (names[found.pop("exec")], *found.values())


def in_turn(state: str, calls: list[tuple[str, int]], rows: Rows, steps: Steps) -> Outcome:
    """What comes of the calls one after another: the rows, and the answers by place in the pair."""
    scene = set_up(state, rows, steps)
    answers = {which: CALLS[name](scene, steps, which) for name, which in calls}
    return outcome(scene, rows), answers


def at_once(state: str, first: str, second: str, rows: Rows, steps: tuple[Steps, Steps], *, commit: bool) -> Outcome:
    """The same when the second begins before the first has ended; said again if it left the row alone."""
    scene = set_up(state, rows, steps[0])
    answers: dict[int, Any] = {}

    def run_second() -> None:
        try:
            answers[1] = CALLS[second](scene, steps[1], 1)
        except PostgresBusyError:
            answers[1] = BUSY

    there = steps[1].link.connection.info.backend_pid
    connection = steps[0].link.connection
    connection.execute("BEGIN")
    thread = threading.Thread(target=run_second)
    try:
        answers[0] = CALLS[first](scene, steps[0], 0)
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
    if answers[1] in (BUSY, PASS_OVER.get(second, BUSY)):
        answers[1] = CALLS[second](scene, steps[1], 1)  # its caller comes back
    return outcome(scene, rows), answers


def _waits_for_a_lock(rows: Rows, pid: int) -> bool:
    return bool(rows.all("SELECT FROM pg_locks WHERE pid = %s AND NOT granted", [pid]))
