"""Start calls of a worker process while another transaction holds a lock."""

import time
from uuid import uuid4

import psycopg

from bridge.postgres.attempts import AttemptKey, Attempts
from bridge.postgres.link import Link
from bridge.worker.ending import Ending
from bridge.worker.starts import Starts
from tests.support.rows import Rows
from tests.support.steps import Steps


def test_jobs_that_meet_a_lock_delay_the_others_only_briefly(steps: Steps, rows: Rows, dsn: str) -> None:
    session_id = rows.add_session()
    locked = {rows.add_job(session_id=session_id) for _ in range(5)}
    free = rows.add_job()
    worker = steps.add_worker()
    held = [AttemptKey(claim.job_id, claim.fence, uuid4()) for claim in steps.claim()]
    link, endings = Link(dsn, "starts"), list[Ending]()
    patience = link.connection.execute("SHOW lock_timeout").fetchone()
    starts = Starts(Attempts(link), endings.append)

    with psycopg.connect(dsn) as somebody:
        somebody.execute("SELECT FROM coding_sessions WHERE id = %s FOR UPDATE", [session_id])
        began = time.monotonic()
        started, later = starts.start(held, lambda: worker)
        took = time.monotonic() - began

    assert [attempt.job_id for attempt in started.values()] == [free]
    assert {one.job_id for one in later} == locked
    assert took < 5, "two seconds for all, and a moment for each"
    assert link.connection.execute("SHOW lock_timeout").fetchone() == patience
    again, later = starts.start(later, lambda: worker)
    assert (len(again), later, endings) == (5, [], [])
    starts.close()
