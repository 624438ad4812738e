"""Random histories on the real functions: after every step each row is compared with an expected one.

TEST_SIZE=nightly runs many more, and different ones each time.

Rows of docs/reference/security.md: S29.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bridge.job import Claim
from bridge.postgres.attempts import AttemptKey, Event, Verdict
from bridge.postgres.queue_rows import Span
from tests.support.expected_job import NODE, TERMINAL, ExpectedJob
from tests.support.invariants import check_invariants
from tests.support.rows import Rows
from tests.support.sized import SIZE, by_size, sized
from tests.support.steps import LEASE, Steps

COMMON = settings(deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
SAME = settings(COMMON, max_examples=by_size(40, 200), stateful_step_count=100, derandomize=True, database=None)
SIZES = {
    "": SAME,
    "full": SAME,
    "unshrunk": settings(SAME, phases=[Phase.generate]),
    "nightly": settings(COMMON, max_examples=2000, stateful_step_count=50),
}

a_new_job = st.tuples(st.integers(0, 2), st.integers(0, 3), st.booleans())  # priority, max_retries, in a session
pick = st.integers(0, 1_000)  # which of those there are
link = st.integers(0, 1)  # over which connection
a_job = precondition(lambda self: self.jobs)
a_claim = precondition(lambda self: self.claims)
an_attempt = precondition(lambda self: self.held)


class JobMachine(RuleBasedStateMachine):
    def __init__(self, rows: Rows, steps: list[Steps]) -> None:
        super().__init__()
        self.rows, self.steps = rows, steps
        self.jobs: dict[UUID, ExpectedJob] = {}
        self.claims: list[Claim] = []  # messages: none is ever removed, so each may be delivered again
        self.held: list[tuple[AttemptKey, UUID]] = []  # attempts that some worker holds, held, or believes to hold
        self.workers: dict[UUID, str] = {}  # live, expired, stopped
        self.inserted = 0
        self.calls = 0

    @initialize(jobs=st.lists(a_new_job, min_size=2, max_size=5))
    def begin(self, jobs: list[tuple[int, int, bool]]) -> None:
        self.rows.clear()
        for _ in range(2):
            self.add_worker()
        for job in jobs:
            self.insert(job)

    def add_worker(self) -> None:
        self.workers[self.steps[0].add_worker(slots=50)] = "live"

    @property
    def open_jobs(self) -> int:
        return sum(job.status not in TERMINAL for job in self.jobs.values())

    def job(self, pick: int) -> ExpectedJob:
        """A job, mostly one that has not ended."""
        candidates = [job for job in self.jobs.values() if job.status not in TERMINAL or pick % 4 == 0]
        candidates = candidates or list(self.jobs.values())
        return candidates[pick // 4 % len(candidates)]

    def worker(self, pick: int) -> UUID:
        return list(self.workers)[pick % len(self.workers)]

    def attempt(self, pick: int) -> tuple[AttemptKey, UUID]:
        """An attempt, mostly one that a worker still holds."""
        current = [one for one in self.held if (job := self.jobs.get(one[0].job_id)) and job.is_held_by(one[0])]
        among = current if current and pick % 3 else self.held
        return among[-1 - pick // 3 % len(among)]

    # Clients and operators.

    @precondition(lambda self: len(self.jobs) < 15 and self.open_jobs < 4)
    @rule(new=a_new_job)
    def insert(self, new: tuple[int, int, bool]) -> None:
        priority, max_retries, in_session = new
        session = self.rows.add_session() if in_session else None
        job = self.rows.add_job(priority=priority, max_retries=max_retries, session_id=session)
        self.inserted += 1
        self.jobs[job] = ExpectedJob(job, priority, self.inserted, max_retries, session="pending" if session else None)

    @a_job
    @rule(pick=pick, link=link)
    def cancel(self, pick: int, link: int) -> None:
        job = self.job(pick)
        assert self.steps[link].queue.cancel_job(job.id) == job.cancel()

    @a_job
    @rule(pick=pick, link=link)
    def retry(self, pick: int, link: int) -> None:
        job = self.job(pick)
        assert self.steps[link].queue.retry_job(job.id) == job.retry()

    @precondition(lambda self: self.open_jobs > 3)
    @rule(pick=pick)
    def delete(self, pick: int) -> None:
        job = self.jobs.pop(self.job(pick).id)
        self.rows.all("DELETE FROM coding_jobs WHERE id = %s", [job.id])

    @a_job
    @rule(pick=pick)
    def begin_manual_attempt(self, pick: int) -> None:
        job = self.job(pick)
        if job.status == "pending":
            self.rows.all("UPDATE coding_jobs SET status = 'processing' WHERE id = %s", [job.id])
            job.claim(None)

    # The Node worker.

    @rule(link=link)
    def claim_next_job(self, link: int) -> None:
        ready = sorted((job for job in self.jobs.values() if job.can_be_claimed), key=lambda job: job.rank)
        claimed = self.steps[link].queue.claim_next_job()
        assert (claimed.job_id if claimed else None) == (ready[0].id if ready else None)
        if ready:
            ready[0].claim(NODE)

    @a_job
    @rule(pick=pick, link=link)
    def complete_job(self, pick: int, link: int) -> None:
        job = self.job(pick)
        self.steps[link].queue.complete_job(job.id)
        if job.is_changed_by_its_id:
            job.complete()

    @a_job
    @rule(pick=pick, link=link)
    def fail_job(self, pick: int, link: int) -> None:
        job = self.job(pick)
        will_retry = self.steps[link].queue.fail_job(job.id, "boom")
        if job.is_changed_by_its_id:
            job.fail("failed")
            assert will_retry == (job.status == "pending")
        else:
            assert not will_retry

    # The bridge.

    @rule(link=link, limit=st.sampled_from([1, 2, 100]))
    def claim(self, link: int, limit: int) -> None:
        ready = sorted((job for job in self.jobs.values() if job.can_run_beside_others), key=lambda job: job.rank)
        due = ready[:limit] if "live" in self.workers.values() else []
        claims = self.steps[link].queue.claim_jobs("bridge", limit=limit, lease=LEASE, spans=[Span("coding", 100)])
        for job in due:
            job.claim("bridge")
        assert [(claim.job_id, claim.fence) for claim in claims] == [(job.id, job.fence) for job in due]
        self.claims += claims

    @rule(link=link, limit=st.sampled_from([1, 2]))
    def claim_suspects(self, link: int, limit: int) -> None:
        live = list(self.workers.values()).count("live")
        batches = {job.batch for job in self.jobs.values() if job.is_isolated}
        ready = sorted((job for job in self.jobs.values() if job.is_suspect), key=lambda job: job.rank)
        batch = ready[:limit] if live and len(batches) < max(1, live // 2) else []
        claims = self.steps[link].queue.claim_suspects("bridge", lease=LEASE, limit=limit)
        self.calls += 1
        for job in batch:
            job.claim("bridge", self.calls)
        assert [(claim.job_id, claim.fence) for claim in claims] == [(job.id, job.fence) for job in batch]
        self.claims += claims

    @a_claim
    @rule(picks=st.lists(pick, min_size=1, max_size=3), link=link)
    def keep(self, picks: list[int], link: int) -> None:
        """A worker renews hand-overs that it cannot start yet."""
        waiting = [self.claims[-1 - pick % len(self.claims)] for pick in picks]
        kept = self.steps[link].book.keep([AttemptKey(claim.job_id, claim.fence, None) for claim in waiting], LEASE)
        jobs = [(self.jobs.get(claim.job_id), claim.fence) for claim in waiting]
        ours = [job for job, fence in jobs if job is not None and job.was_handed_over(fence)]
        assert kept == {job.id for job in ours}
        for job in ours:
            job.expired = False

    @a_claim
    @rule(pick=pick, link=link)
    def release_claim(self, pick: int, link: int) -> None:
        claim = self.claims[-1 - pick % len(self.claims)]
        accepted = self.steps[link].queue.release_claims([claim], "test") == [claim.job_id]
        self._expect(AttemptKey(claim.job_id, claim.fence, None), accepted, ExpectedJob.release)

    @a_claim
    @rule(pick=pick, link=link)
    def fail_claim(self, pick: int, link: int) -> None:
        """A worker reports that the database refuses the start."""
        claim = self.claims[-1 - pick % len(self.claims)]
        held = AttemptKey(claim.job_id, claim.fence, None)
        self._expect(held, self.steps[link].fail(held) is not None, lambda job: job.fail("failed"))

    @rule(link=link)
    def reclaim(self, link: int) -> None:
        self.workers.update({worker: "stopped" for worker, lease in self.workers.items() if lease == "expired"})
        alive = [worker for worker, lease in self.workers.items() if lease == "live"]
        in_workers = Counter(job.worker for job in self.jobs.values() if job.status == "processing" and job.exec)
        expected = {
            job.id: verdict
            for job in self.jobs.values()
            if (verdict := job.reclaim(alive, is_alone=in_workers[job.worker] == 1))
        }
        assert self.steps[link].reclaim() == expected

    # Workers.

    @a_claim
    @rule(picks=st.lists(pick, min_size=1, max_size=3), worker=pick, link=link)
    def start(self, picks: list[int], worker: int, link: int) -> None:
        """One message delivered, or several together, or the same one twice."""
        who = self.worker(worker)
        delivered = [self.claims[-1 - pick % len(self.claims)] for pick in picks]
        held = [AttemptKey(claim.job_id, claim.fence, uuid4()) for claim in delivered]
        started = self.steps[link].book.start(who, held)
        for attempt in held:
            job = self.jobs.get(attempt.job_id)
            same = [one.exec for one in held if (one.job_id, one.fence) == (attempt.job_id, attempt.fence)]
            if job is not None and job.was_handed_over(attempt.fence) and self.workers[who] == "live":
                (won,) = [exec_ for exec_ in same if exec_ in started]
                job.start(AttemptKey(job.id, attempt.fence, won), who)
            assert (attempt.exec in started) == (job is not None and job.is_held_by(attempt))
        self.held += [(attempt, who) for attempt in held]

    # Several steps in one, because few histories would get past them otherwise.

    @rule(limit=st.sampled_from([1, 2, 100]), worker=pick, link=link)
    def claim_and_start(self, limit: int, worker: int, link: int) -> None:
        before = len(self.claims)
        self.claim(link, limit)
        self.claim_suspects(link, limit)
        if taken := len(self.claims) - before:
            self.start(list(range(taken)), worker, link)

    @precondition(lambda self: any(job.status == "processing" and job.exec for job in self.jobs.values()))
    @rule(pick=pick, link=link)
    def lose_a_worker(self, pick: int, link: int) -> None:
        busy = [job.worker for job in self.jobs.values() if job.status == "processing" and job.exec]
        who = busy[pick % len(busy)]
        if who in self.workers:  # it may be lost already
            self.steps[link].silence(who)
            self.workers[who] = "expired" if self.workers[who] == "live" else self.workers[who]
            self.reclaim(link)
            self.heartbeat(list(self.workers).index(who), link)

    @an_attempt
    @rule(pick=pick, worker=pick, link=link)
    def repeat_start(self, pick: int, worker: int, link: int) -> None:
        """A start call is repeated because its answer was lost. From another worker, it is another start."""
        attempt, who = self.attempt(pick)
        if worker % 3 == 0:
            who = self.worker(worker)
        job = self.jobs.get(attempt.job_id)
        is_its_own = job is not None and job.is_held_by(attempt) and job.worker == who
        is_free = job is not None and job.was_handed_over(attempt.fence)
        started = self.steps[link].book.start(who, [attempt])
        expected = (is_its_own or is_free) and self.workers.get(who) == "live"  # it may be forgotten
        assert (attempt.exec in started) == expected
        if expected and job is not None:
            job.start(attempt, who)

    @an_attempt
    @rule(pick=pick, link=link)
    def complete(self, pick: int, link: int) -> None:
        held = self.attempt(pick)[0]
        self._expect(held, self.steps[link].complete(held), ExpectedJob.complete)

    @an_attempt
    @rule(pick=pick, link=link, final=st.booleans())
    def fail(self, pick: int, link: int, final: bool) -> None:
        held = self.attempt(pick)[0]
        status = self.steps[link].fail(held, final=final)
        self._expect(held, status is not None, lambda job: job.fail("failed", final=final))
        assert status is None or status == self.jobs[held.job_id].status

    @an_attempt
    @rule(pick=pick, link=link)
    def release(self, pick: int, link: int) -> None:
        held = self.attempt(pick)[0]
        self._expect(held, self.steps[link].release(held), ExpectedJob.release)

    @an_attempt
    @rule(pick=pick, link=link)
    def call_off(self, pick: int, link: int) -> None:
        held = self.attempt(pick)[0]
        self._expect(held, self.steps[link].call_off(held), ExpectedJob.call_off)

    @an_attempt
    @rule(pick=pick, link=link)
    def add_event(self, pick: int, link: int) -> None:
        held = self.attempt(pick)[0]
        job = self.jobs.get(held.job_id)
        stored = self.steps[link].book.add_events([Event(held, "terminal", "{}")])
        assert stored == (job is not None and job.is_held_by(held) and job.session is not None)

    @rule(pick=pick, link=link)
    def heartbeat(self, pick: int, link: int) -> None:
        who = self.worker(pick)
        mine = [held for held, worker in self.held if worker == who]
        verdicts = self.steps[link].heartbeat(who, *mine)
        if self.workers[who] == "stopped":
            assert verdicts is None
            del self.workers[who]
            self.add_worker()
            return
        self.workers[who] = "live"
        expected = {}
        for held in mine:
            job = self.jobs.get(held.job_id)
            if job is None or not job.is_held_by(held):
                expected[held.exec] = Verdict.LOST
            elif job.marked:
                expected[held.exec] = Verdict.CANCELLED
        assert verdicts == expected

    @rule(pick=pick, link=link)
    def stop_worker(self, pick: int, link: int) -> None:
        who = self.worker(pick)
        self.steps[link].book.stop(who)
        self.workers[who] = "stopped"

    # Time.

    @rule(pick=pick)
    def silence(self, pick: int) -> None:
        who = self.worker(pick)
        self.steps[0].silence(who)
        self.workers[who] = "expired" if self.workers[who] == "live" else self.workers[who]

    @a_job
    @rule(pick=pick)
    def expire(self, pick: int) -> None:
        job = self.job(pick)
        if job.status == "processing" and job.exec is None:
            self.steps[0].expire(job.id)
            job.expired = True

    @a_job
    @rule(pick=pick)
    def make_due(self, pick: int) -> None:
        job = self.job(pick)
        if job.status == "pending":
            self.steps[0].make_due(job.id)
            job.due = True

    # What must hold.

    def _expect(self, held: AttemptKey, accepted: bool, change: Callable[[ExpectedJob], None]) -> None:
        """A report is accepted only from the holder of the attempt."""
        job = self.jobs.get(held.job_id)
        assert accepted == (job is not None and job.is_held_by(held))
        if job is not None and accepted:
            change(job)

    @invariant()
    def rows_are_as_expected(self) -> None:
        # A backoff ends by make_due, and not because this machine is busy.
        self.rows.all("""
            UPDATE coding_jobs SET run_at = run_at + interval '1 day'
            WHERE status = 'pending' AND run_at BETWEEN clock_timestamp() AND clock_timestamp() + interval '1 hour'""")
        found = self.rows.all("""
            SELECT j.id, j.status, j.fence, j.exec, j.retry_count, s.status AS session,
                ARRAY(SELECT a.outcome FROM job_attempts a WHERE a.job_id = j.id ORDER BY a.fence) AS ledger
            FROM coding_jobs j LEFT JOIN coding_sessions s ON s.id = j.session_id""")
        rows = {row["id"]: tuple(row.values())[1:] for row in found}
        assert rows == {
            job.id: (job.status, job.fence, job.exec, job.retry_count, job.session, job.ledger)
            for job in self.jobs.values()
        }

    def teardown(self) -> None:
        check_invariants(self.rows)


@sized
@pytest.mark.timeout(1800)  # to shrink a history that fails takes long
def test_rows_are_as_expected_in_any_history(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        rows = Rows(connection)
        steps = [Steps(dsn, rows) for _ in range(2)]
        machine: Any = lambda: JobMachine(rows, steps)  # noqa: E731 -- anything that makes one will do
        run_state_machine_as_test(machine, settings=SIZES[SIZE])
        for one in steps:
            one.close()
