"""Rows that Postgres refuses to change, in each step that changes many: the other rows are changed in the same step."""

import time
from collections.abc import Callable, Sequence
from uuid import UUID

import psycopg
import pytest

from bridge.dispatch.refusals import Claims
from bridge.errors import SchemaError
from bridge.job import Claim, Refusal
from bridge.postgres.job_queue import JobQueue
from bridge.postgres.queue_rows import Span
from tests.integration.dispatch.test_refusals import CAUSES, CHECKED, DEFERRED, named_jobs, trigger
from tests.support.rows import Rows
from tests.support.steps import LEASE, Steps
from tests.support.waiting import eventually

SUPPRESSED = "the update of its row was suppressed: see the triggers and rules of coding_jobs"
TRIED = "SELECT last_value FROM tries"  # a sequence, because a rollback does not undo it


def apart(steps: Steps, limit: int = 100, skip: Sequence[UUID] = ()) -> tuple[list[Claim], list[Refusal]]:
    spans = [Span("coding", limit)]
    return steps.queue.claim_jobs_apart("bridge", limit=limit, lease=LEASE, spans=spans, skip=list(skip))


def count_tries(rows: Rows) -> None:
    rows.all("CREATE SEQUENCE tries")
    rows.all(trigger("PERFORM nextval('public.tries'); RAISE 'not now'")[0])


@pytest.mark.parametrize(("cause", "end"), CAUSES)
def test_jobs_after_a_refused_one_are_claimed(steps: Steps, rows: Rows, cause: str, end: str) -> None:
    steps.add_worker(slots=1)
    refused, other = rows.add_job(priority=9), rows.add_job()
    rows.all(cause)
    claims = Claims(steps.queue, name="bridge", lease=LEASE, limit=1)

    assert claims.take([Span("coding", 1)]) == []
    assert claims.found_refused
    assert [claim.job_id for claim in claims.take([Span("coding", 1)])] == [other]
    assert (rows.job(refused)["status"], rows.job(refused)["fence"]) == ("pending", 0)


@pytest.mark.parametrize(("cause", "end"), CAUSES)
@pytest.mark.parametrize("started", [True, False])
def test_jobs_beside_a_refused_one_are_taken_back(
    steps: Steps, rows: Rows, caplog: pytest.LogCaptureFixture, cause: str, end: str, started: bool
) -> None:
    worker = steps.add_worker()
    refused, other = rows.add_job(priority=9), rows.add_job()
    for claim in steps.claim():
        if started:
            steps.start(worker, claim)
        else:
            steps.expire(claim.job_id)
    steps.book.stop(worker)
    rows.all(cause)

    outcome = "crashed" if started else "released"
    assert steps.reclaim() == {other: (outcome, "pending")}
    assert named_jobs(caplog) == [str(refused)]
    assert rows.outcomes(refused) == []

    rows.all(end)
    eventually(lambda: steps.reclaim() == {refused: (outcome, "pending")}, seconds=3)
    assert named_jobs(caplog) == [str(refused)]


@pytest.mark.parametrize(("cause", "end"), CAUSES)
def test_jobs_beside_a_refused_one_are_moved(
    steps: Steps, rows: Rows, caplog: pytest.LogCaptureFixture, cause: str, end: str
) -> None:
    refused, other = rows.add_job(actor="build_report", priority=9), rows.add_job(actor="build_report")
    steps.add_worker(actors={name: {"queue": f"{name}s", "max_retries": 1} for name in ("a", "build_report", "z")})
    rows.all(cause)

    assert [group.jobs for group in steps.queue.route_jobs(limit=10)] == [1]
    assert (rows.job(refused)["queue"], rows.job(other)["queue"]) == ("coding", "build_reports")
    assert named_jobs(caplog) == [str(refused)]


@pytest.mark.parametrize(("cause", "end"), CAUSES)
def test_a_suspect_after_a_refused_one_is_claimed(
    steps: Steps, rows: Rows, caplog: pytest.LogCaptureFixture, cause: str, end: str
) -> None:
    steps.add_worker()
    refused, other = rows.add_job(priority=9), rows.add_job()
    rows.all("UPDATE coding_jobs SET crashes = 1")
    rows.all(cause)

    assert [claim.job_id for claim in steps.queue.claim_suspects("bridge", lease=LEASE)] == [other]
    assert named_jobs(caplog) == [str(refused)]


@pytest.mark.parametrize(("cause", "end"), CAUSES)
@pytest.mark.parametrize("scheduled", [False, True])
def test_claim_next_job_skips_a_refused_job(
    steps: Steps, rows: Rows, caplog: pytest.LogCaptureFixture, cause: str, end: str, scheduled: bool
) -> None:
    refused, *others = [rows.add_job(priority=priority) for priority in (9, 2, 1)]
    if scheduled:
        rows.all("UPDATE coding_jobs SET run_at = clock_timestamp(), due = false")
        rows.all("UPDATE coding_jobs SET due = false")
    rows.all(cause)

    claimed = [steps.queue.claim_next_job() for _ in range(3)]

    assert [job and job.job_id for job in claimed] == [*others, None]
    assert (rows.job(refused)["status"], rows.job(refused)["fence"]) == ("pending", 0)
    assert named_jobs(caplog) == [str(refused)]


def test_claim_next_job_skips_many_refused_jobs(steps: Steps, rows: Rows) -> None:
    rows.all("INSERT INTO coding_jobs (priority) SELECT 9 FROM generate_series(1, 3000)")
    other = rows.add_job()
    rows.all(CHECKED)

    began = time.monotonic()
    claimed = steps.queue.claim_next_job()

    assert claimed and claimed.job_id == other
    assert time.monotonic() - began < 3


def test_claim_next_job_tries_a_refused_job_once(steps: Steps, rows: Rows) -> None:
    rows.add_job(priority=9)
    other = rows.add_job()
    count_tries(rows)

    claimed = steps.queue.claim_next_job()

    assert claimed and claimed.job_id == other
    assert rows.value(TRIED) == 1


def test_claim_next_job_leaves_its_callers_deferred_constraints_deferred(steps: Steps, rows: Rows) -> None:
    """Deferred constraints of a transaction that continues are still checked at its commit."""
    rows.all("CREATE TABLE kept (id integer PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)")
    rows.all(DEFERRED[0])
    jobs = [rows.add_job(), rows.add_job()]

    with rows.connection.transaction():
        rows.all("INSERT INTO kept VALUES (1), (1)")
        assert rows.one("SELECT * FROM claim_next_job()")["job_id"] == jobs[0]
        rows.all("UPDATE kept SET id = 2 WHERE ctid = '(0,1)'")
    with rows.connection.transaction():
        assert rows.one("SELECT * FROM claim_next_job()")["job_id"] == jobs[1]
        rows.all("INSERT INTO kept VALUES (3), (3)")
        rows.all("UPDATE coding_jobs SET priority = 9")
        rows.all("DELETE FROM kept")
        rows.all("DROP FUNCTION refuse CASCADE")
    with rows.connection.transaction():
        rows.all("SET CONSTRAINTS ALL IMMEDIATE")
        rows.all("SELECT * FROM claim_next_job()")
        with pytest.raises(psycopg.errors.UniqueViolation), rows.connection.transaction():
            rows.all("INSERT INTO kept VALUES (4), (4)")


def test_events_of_a_hosts_trigger_are_numbered(steps: Steps, rows: Rows) -> None:
    """Their numbers are deferred to the commit as well."""
    session = rows.add_session()
    rows.all("""
        CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO public.session_events (session_id, event_type) VALUES (NEW.session_id, NEW.status);
            RETURN NULL;
        END $$;
        CREATE TRIGGER tell AFTER UPDATE ON coding_jobs FOR EACH ROW EXECUTE FUNCTION tell()""")
    steps.add_worker()
    refused = rows.add_job(session_id=session, priority=9)
    jobs = [rows.add_job(session_id=session) for _ in range(3)]
    rows.all(CHECKED)

    claims, _ = apart(steps)
    assert {claim.job_id for claim in claims} == set(jobs)
    for job_id in jobs:
        steps.expire(job_id)
    rows.all("UPDATE coding_jobs SET priority = 3 WHERE id = %s", [refused])
    assert len(steps.reclaim()) == 3

    numbers = [row["seq"] for row in rows.all("SELECT seq FROM session_events ORDER BY seq")]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_batch_that_fails_at_the_commit_is_tried_one_by_one(steps: Steps, rows: Rows) -> None:
    steps.add_worker(slots=100)
    others = [rows.add_job() for _ in range(50)]
    refused = rows.add_job(priority=-9)
    rows.all("""
        CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_sleep(0.045);
            IF NEW.priority < 0 THEN RAISE 'not now'; END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER slow BEFORE UPDATE ON coding_jobs FOR EACH ROW EXECUTE FUNCTION slow()""")

    claims, refusals = apart(steps)

    assert [claim.job_id for claim in claims] == others[: len(claims)]
    assert len(claims) > 20
    assert [one.job_id for one in refusals] in ([], [refused])


def test_an_error_of_the_database_is_not_a_refused_row(
    steps: Steps, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    lost = steps.add_worker()
    rows.add_job()
    steps.started(lost)
    steps.book.stop(lost)
    steps.add_worker()
    rows.add_job()
    rows.add_job(crashes=1)
    rows.all("ALTER TABLE job_counts RENAME TO gone")
    claims = Claims(steps.queue, name="bridge", lease=LEASE, limit=10)
    calls: list[Callable[[], object]] = [
        lambda: claims.take([Span("coding", 10)]),
        lambda: steps.queue.claim_suspects("bridge", lease=LEASE),
        steps.queue.claim_next_job,
        steps.reclaim,
    ]

    for call in calls:
        with pytest.raises(SchemaError, match="job_counts"):
            call()

    assert not claims.some_refused
    assert named_jobs(caplog) == []


def test_a_job_that_is_refused_when_it_becomes_due_is_named_once(steps: Steps, rows: Rows) -> None:
    steps.add_worker()
    refused, other = rows.add_job(priority=9), rows.add_job()
    rows.all("UPDATE coding_jobs SET run_at = clock_timestamp() + interval '1 ms' WHERE id = %s", [refused])
    rows.all(trigger("RAISE 'not now'")[0])
    rows.all("SELECT pg_sleep(0.01)")

    claims, refusals = apart(steps)

    assert [claim.job_id for claim in claims] == [other]
    assert refusals == [Refusal(refused, "run_coding_session", "not now")]


def test_the_reason_for_a_suppressed_change_says_where_to_look(steps: Steps, rows: Rows) -> None:
    steps.add_worker()
    refused = rows.add_job(priority=9)
    rows.all(trigger("RETURN NULL")[0])

    assert apart(steps) == ([], [Refusal(refused, "run_coding_session", SUPPRESSED)])


def test_started_and_unstarted_attempts_are_taken_back_together(steps: Steps, rows: Rows) -> None:
    """Each is taken back by its own fence."""
    rows.add_job()
    started = steps.started(steps.add_worker())
    rows.add_job(fence=6)
    waiting = steps.claim_one()

    ended = rows.all(
        "SELECT job_id, outcome FROM take_back(%s, %s, '{crashed,released}', '{lost,NULL}', '{0,NULL}')",
        [[started.job_id, waiting.job_id], [started.fence, waiting.fence]],
    )

    assert [tuple(one.values()) for one in ended] == [(started.job_id, "crashed"), (waiting.job_id, "released")]


@pytest.mark.parametrize("step", ["reclaim", "route", "suspects"])
def test_a_refused_job_is_retried_at_growing_intervals(steps: Steps, rows: Rows, step: str) -> None:
    worker = steps.add_worker(actors={"run_coding_session": {"queue": "reports", "max_retries": 1}}, queues=["reports"])
    rows.add_job(priority=9, queue="reports" if step != "route" else "nowhere", crashes=int(step == "suspects"))
    if step == "reclaim":
        steps.started(worker)
        steps.book.stop(worker)
    count_tries(rows)
    calls: dict[str, Callable[[], object]] = {
        "reclaim": steps.reclaim,
        "route": lambda: steps.queue.route_jobs(limit=10),
        "suspects": lambda: steps.queue.claim_suspects("bridge", lease=LEASE),
    }
    until = time.monotonic() + 4

    while time.monotonic() < until:
        calls[step]()
        time.sleep(0.02)

    assert 3 <= rows.value(TRIED) <= 8  # each try fires it twice: with all jobs, and with each by itself


def test_ten_thousand_refused_jobs_cost_a_claim_little(steps: Steps, rows: Rows) -> None:
    steps.add_worker(slots=10)
    rows.all("INSERT INTO coding_jobs (priority) SELECT 9 FROM generate_series(1, 10000)")
    refused = [row["id"] for row in rows.all("SELECT id FROM coding_jobs")]
    other = rows.add_job()
    rows.all("ANALYZE coding_jobs")
    rows.all(CHECKED)

    began = time.monotonic()
    claims, _ = apart(steps, 10, refused)

    assert [claim.job_id for claim in claims] == [other]
    assert time.monotonic() - began < 1


def test_refused_jobs_are_named_though_the_database_suppresses_warnings(
    dsn: str, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    rows.all(f"ALTER DATABASE {dsn.rpartition('/')[2]} SET client_min_messages = 'error'")
    refused = rows.add_job(priority=9)
    rows.all(CHECKED)
    queue = JobQueue.connect(dsn)

    assert queue.claim_next_job() is None
    queue.close()

    assert named_jobs(caplog) == [str(refused)]


THEIRS = "PL/pgSQL function public.refuse() line 1 at RAISE"
OURS = "PL/pgSQL function public.count_changed_jobs() line 24 at SQL statement"
CALLER = "PL/pgSQL function public.change_each(text,uuid[],text,interval) line 12 at SQL statement"


@pytest.mark.parametrize(
    ("state", "frames", "is_of_a_row"),
    [
        ("23514", [], True),
        ("P0001", [], True),
        ("42501", [], False),
        ("40P01", [], False),
        ("53100", [], False),
        ("42501", [THEIRS], True),
        ("42P01", ['SQL statement "SELECT nothing(1)"', THEIRS], True),
        ("42501", [OURS], False),
        ("42501", [THEIRS.replace("refuse", "my_keep_due")], True),
        ("42501", [OURS, THEIRS], True),
        ("53400", ["PL/pgSQL-Funktion refuse() Zeile 1 bei RAISE"], True),
        ("53100", ["PL/pgSQL-Funktion public.guard_job() Zeile 24 bei SQL-Anweisung"], False),
        ("XX000", ['PL/Python function "refuse"'], True),
    ],
)
def test_an_error_from_a_hosts_code_counts_as_one_of_its_row(
    rows: Rows, state: str, frames: list[str], is_of_a_row: bool
) -> None:
    context = "\n".join([*frames, 'SQL statement "UPDATE …"', CALLER, "PL/pgSQL function theirs() line 3 at PERFORM"])

    assert rows.value("SELECT is_of_a_row(%s, %s, 'change_each')", [state, context]) is is_of_a_row


def test_our_trigger_functions_are_listed_as_ours(rows: Rows) -> None:
    """The functions of triggers that an update of a job or a session fires."""
    functions = rows.all("""
        SELECT DISTINCT t.tgfoid::regproc::text AS name FROM pg_trigger t
        WHERE t.tgrelid IN ('coding_jobs'::regclass, 'coding_sessions'::regclass) AND t.tgtype & 16 > 0""")
    assert functions
    for one in functions:
        context = f"PL/pgSQL function public.{one['name']}() line 1 at SQL statement\n{CALLER}"
        assert not rows.value("SELECT is_of_a_row('42501', %s, 'change_each')", [context]), one["name"]
