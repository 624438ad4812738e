"""Claims: which jobs are claimed, in which order, and how many."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from bridge.postgres.queue_rows import Span
from tests.support.rows import Rows
from tests.support.steps import CODING, LEASE, Steps


def test_a_claim_takes_the_job_and_raises_its_fence(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job(prompt="hello")
    steps.add_worker()

    claim = steps.claim_one()

    assert (claim.job_id, claim.fence, claim.queue, claim.actor) == (job_id, 1, "coding", "run_coding_session")
    job = rows.job(job_id)
    assert (job["status"], job["fence"], job["exec"], job["claimed_by"]) == ("processing", 1, None, "bridge")
    assert job["lease_expires_at"] > job["claimed_at"]


def test_higher_priority_goes_first_then_the_older_job(steps: Steps, rows: Rows) -> None:
    low, high, newer_high, middle = (rows.add_job(priority=p) for p in (0, 10, 10, 5))
    steps.add_worker()

    assert [claim.job_id for claim in steps.claim()] == [high, newer_high, middle, low]


def test_jobs_inserted_together_go_in_their_order(steps: Steps, rows: Rows) -> None:
    inserted = [
        row["id"]
        for row in rows.all(
            "INSERT INTO coding_jobs (prompt) SELECT i::text FROM generate_series(1, 50) i RETURNING id"
        )
    ]
    steps.add_worker(slots=50)

    assert [claim.job_id for claim in steps.claim()] == inserted


def test_a_created_at_from_the_future_changes_no_order(steps: Steps, rows: Rows) -> None:
    first = rows.add_job(created_at=datetime(2999, 1, 1, tzinfo=UTC))
    second = rows.add_job(created_at=datetime(1999, 1, 1, tzinfo=UTC))
    steps.add_worker()

    assert [claim.job_id for claim in steps.claim()] == [first, second]


def test_a_job_is_left_alone_until_its_time(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job(run_at=datetime.now(UTC) + timedelta(hours=1))
    steps.add_worker()
    assert steps.claim() == []
    seconds = steps.queue.seconds_to_next_due()
    assert seconds is not None
    assert 3590 < seconds <= 3600

    steps.make_due(job_id)

    assert steps.claim_one().job_id == job_id
    assert steps.queue.seconds_to_next_due() is None


def test_a_pending_job_can_be_delayed_by_hand(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    steps.add_worker()
    rows.all("UPDATE coding_jobs SET run_at = now() + interval '1 hour' WHERE id = %s", [job_id])
    assert steps.claim() == []

    rows.all("UPDATE coding_jobs SET run_at = NULL WHERE id = %s", [job_id])

    assert steps.claim_one().job_id == job_id


def test_a_queue_may_be_called_null(steps: Steps, rows: Rows) -> None:
    names = ["NULL", "_null", "a.b-c"]
    actors = {f"run {number}": {"queue": name, "max_retries": 3} for number, name in enumerate(names)}
    steps.add_worker(actors=actors)
    for actor, options in actors.items():
        rows.add_job(actor=actor, queue=options["queue"])

    assert sorted(claim.queue for claim in steps.claim()) == sorted(names)


def test_a_claim_that_finds_nothing_fires_no_triggers(steps: Steps, rows: Rows) -> None:
    rows.all("""
        CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'fired'; END $$;
        CREATE TRIGGER refuse AFTER UPDATE ON coding_jobs FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.refuse()""")
    steps.add_worker()
    try:
        assert steps.claim() == []
    finally:
        rows.all("DROP TRIGGER refuse ON coding_jobs")


def test_no_more_is_claimed_than_live_workers_have_slots_for(steps: Steps, rows: Rows) -> None:
    for _ in range(10):
        rows.add_job()
    assert steps.claim() == []  # nobody is there
    steps.add_worker(slots=2)
    steps.add_worker(slots=3)

    assert len(steps.claim()) == 5
    assert steps.claim() == []  # all handed over, nothing started: no room


def test_capacity_returns_when_a_job_ends_and_not_when_it_starts(steps: Steps, rows: Rows) -> None:
    for _ in range(3):
        rows.add_job()
    worker = steps.add_worker(slots=1)
    held = steps.start(worker, steps.claim_one())
    assert held is not None
    assert steps.claim() == []

    assert steps.complete(held)

    assert len(steps.claim()) == 1


def test_jobs_ahead_are_handed_over_beyond_the_slots(steps: Steps, rows: Rows) -> None:
    for _ in range(10):
        rows.add_job()
    steps.add_worker(slots=2)

    assert len(steps.claim(ahead={"coding": 3})) == 5
    assert steps.claim(ahead={"coding": 3}) == []


def test_a_silent_worker_adds_no_capacity(steps: Steps, rows: Rows) -> None:
    rows.add_job()
    worker = steps.add_worker()
    steps.silence(worker)

    assert steps.claim() == []


def test_a_job_whose_actor_no_live_worker_knows_waits(steps: Steps, rows: Rows) -> None:
    unknown = rows.add_job(actor="nobody_knows")
    known = rows.add_job()
    steps.add_worker()

    assert [claim.job_id for claim in steps.claim()] == [known]
    job = rows.job(unknown)
    assert (job["status"], job["fence"], job["retry_count"]) == ("pending", 0, 0)


def test_a_busy_queue_takes_nothing_from_another_one(steps: Steps, rows: Rows) -> None:
    for _ in range(5):
        rows.add_job(priority=100)
    report = rows.add_job(actor="report", queue="reports")
    steps.add_worker(slots=1, actors=CODING)
    steps.add_worker(slots=1, actors={"report": {"queue": "reports"}})
    assert len(steps.claim()) == 2
    rows.all("UPDATE coding_jobs SET status = 'pending' WHERE id = %s", [report])

    assert [claim.job_id for claim in steps.claim()] == [report]


def test_concurrent_claims_never_share_a_job(steps: Steps, rows: Rows, dsn: str) -> None:
    rows.all("INSERT INTO coding_jobs (prompt) SELECT i::text FROM generate_series(1, 400) i")
    steps.add_worker(slots=400)

    def claim_all() -> list[object]:
        mine = Steps(dsn, rows)
        claimed: list[object] = []
        for _ in range(20):
            claimed += [claim.job_id for claim in mine.claim(limit=25)]
        mine.close()
        return claimed

    with ThreadPoolExecutor(4) as pool:
        claimed = [job for batch in pool.map(lambda _: claim_all(), range(4)) for job in batch]

    assert len(claimed) == len(set(claimed)) == 400
    assert rows.value("SELECT count(*) FROM coding_jobs WHERE fence <> 1") == 0


def test_claims_put_back_may_be_claimed_again_without_a_retry_spent(steps: Steps, rows: Rows) -> None:
    job_id = rows.add_job()
    steps.add_worker()
    claim = steps.claim_one()

    assert steps.queue.release_claims([claim], "Redis was away") == [job_id]

    assert steps.queue.release_claims([claim], "again") == []
    assert steps.claim_one().fence == 2
    assert rows.job(job_id)["retry_count"] == 0
    (attempt,) = rows.attempts(job_id)
    assert (attempt["outcome"], attempt["error"], attempt["exec"]) == ("released", "Redis was away", None)


def test_no_job_is_handed_over_to_a_draining_worker(steps: Steps, rows: Rows) -> None:
    rows.add_job()
    worker = steps.add_worker()
    assert steps.book.heartbeat(worker, LEASE, [], draining=True) == []

    assert steps.claim() == []

    other = steps.add_worker()
    assert steps.start(other, steps.claim_one()) is not None


def test_spans_of_a_queue_share_its_capacity_and_keep_the_order(steps: Steps, rows: Rows) -> None:
    steps.add_worker()
    low = [rows.add_job(priority=0) for _ in range(3)]
    high = [rows.add_job(priority=5) for _ in range(3)]
    seq = rows.job(high[0])["seq"]
    spans = [Span("coding", 4, 6, 100), Span("coding", 4, 5, 5, seq), Span("coding", 4, -100, 4)]

    claims = steps.queue.claim_jobs("bridge", limit=100, lease=LEASE, spans=spans)

    assert [claim.job_id for claim in claims] == [*high[1:], *low[:2]]
    assert [claim.priority for claim in claims] == [5, 5, 0, 0]
