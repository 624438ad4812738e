"""A heartbeat keeps a worker alive and tells it what is no longer its own."""

from uuid import uuid4

from bridge.job import Status
from bridge.postgres.attempts import AttemptBook, Held, Verdict
from bridge.postgres.link import Link
from bridge.worker.abilities import WorkerAbilities
from bridge.worker.heartbeat import Heartbeat
from bridge.worker.runs import Run, Runs
from tests.support.hands import CODING, Hands
from tests.support.rows import Rows
from tests.support.waiting import eventually


def test_a_heartbeat_keeps_a_worker_alive(hands: Hands, rows: Rows) -> None:
    rows.add_job()
    worker = hands.add_worker()
    held = hands.started(worker)
    hands.silence(worker)  # the lease ran out, and nobody has noticed yet

    assert hands.heartbeat(worker, held) == {}

    assert hands.reclaim() == {}


def test_a_worker_declared_lost_is_told_so(hands: Hands, rows: Rows) -> None:
    rows.add_job()
    worker = hands.add_worker()
    held = hands.started(worker)
    hands.silence(worker)
    hands.reclaim()

    assert hands.heartbeat(worker, held) is None


def test_a_heartbeat_names_what_is_no_longer_ours(hands: Hands, rows: Rows) -> None:
    lost, cancelled, kept = (rows.add_job() for _ in range(3))
    worker = hands.add_worker()
    held = {claim.job_id: hands.start(worker, claim) for claim in hands.claim()}
    rows.all("DELETE FROM coding_jobs WHERE id = %s", [lost])
    assert hands.queue.cancel_job(cancelled) is Status.PROCESSING

    verdicts = hands.heartbeat(worker, *(attempt for attempt in held.values() if attempt))

    ours = {job_id: attempt.exec for job_id, attempt in held.items() if attempt}
    assert verdicts == {ours[lost]: Verdict.LOST, ours[cancelled]: Verdict.CANCELLED}
    assert kept in ours


def test_a_start_whose_answer_was_lost_is_named_after_a_lease(hands: Hands, rows: Rows) -> None:
    job_id = rows.add_job()
    worker = hands.add_worker()
    held = hands.started(worker)
    assert hands.heartbeat(worker) == {}  # it may be on its way still

    rows.all("UPDATE coding_jobs SET started_at = started_at - interval '31s' WHERE id = %s", [job_id])

    assert hands.heartbeat(worker) == {held.exec: Verdict.STRAY}
    assert hands.heartbeat(worker, held) == {}


class LookedBefore(Runs):
    """A heartbeat looks just before a start's answer brings the run."""

    def held(self) -> list[Held]:
        return []


def test_a_run_that_began_just_now_is_no_stray(hands: Hands, rows: Rows, dsn: str) -> None:
    job_id = rows.add_job()
    runs = LookedBefore()
    handed_back: list[Held] = []
    heartbeat = Heartbeat(
        AttemptBook(Link(dsn, "heartbeat")),
        runs,
        WorkerAbilities(1, ["coding"], CODING),
        handed_back.append,
        lease_seconds=0.6,
    )
    heartbeat.open()
    held = Held(job_id, hands.claim_one().fence, uuid4())
    (attempt,) = hands.book.start(heartbeat.worker, [held]).values()
    runs.add([Run(held, attempt)])
    rows.all("UPDATE coding_jobs SET started_at = started_at - interval '31s' WHERE id = %s", [job_id])
    for _ in range(2):  # of the first one it is not known which row it saw
        before = rows.value("SELECT heartbeat_at FROM workers")
        eventually(lambda: rows.value("SELECT heartbeat_at FROM workers") > before)  # noqa: B023 -- called at once

    assert handed_back == []
    runs.remove([held.exec])
    eventually(lambda: handed_back[:1] == [held], what="a heartbeat that finds a stray")
    heartbeat.close(5)
