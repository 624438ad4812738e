"""A session whose update the host's database refuses: its job starts and ends all the same, and one line says so."""

from collections.abc import Callable, Mapping
from uuid import UUID

import psycopg
import pytest

from bridge.job import Cancelled, Completed, Failed, Released, Status
from bridge.postgres.attempts import AttemptKey
from tests.support.rows import Rows
from tests.support.steps import Steps

REFUSES = "NEW.initial_prompt = 'guarded' AND NEW.status = '{status}'"
DEFERRED = "CONSTRAINT TRIGGER refuse AFTER UPDATE ON coding_sessions DEFERRABLE INITIALLY DEFERRED"
TRIGGER = "TRIGGER refuse BEFORE UPDATE ON coding_sessions"
SUPPRESSED = "the update of its row was suppressed: see the triggers and rules of coding_sessions"
# What refuses → the host's function and trigger, and the reason that is logged.
HOSTS = {
    "error": (TRIGGER, "RAISE 'not today' USING DETAIL = 'a secret'", "not today"),
    "right": (TRIGGER, "RAISE 'no right' USING ERRCODE = 'insufficient_privilege'", "no right"),
    "assertion": (TRIGGER, "ASSERT false, 'not so'", "not so"),
    "null": (TRIGGER, "RETURN NULL", SUPPRESSED),
    "deferred": (DEFERRED, "PERFORM FROM coding_sessions; RAISE 'too late'", "too late"),
}
# The end of an attempt → its call, the status of its session then, and that of its job.
ENDS: dict[str, tuple[Callable[[Steps, list[AttemptKey]], Mapping[UUID, Status]], str, str]] = {
    "complete": (
        lambda steps, both: steps.book.complete([(one, Completed(None)) for one in both]),
        "completed",
        "completed",
    ),
    "fail": (lambda steps, both: steps.book.fail([(one, Failed("no")) for one in both]), "failed", "failed"),
    "cancel": (
        lambda steps, both: steps.book.cancel([(one, Cancelled("skipped")) for one in both]),
        "failed",
        "cancelled",
    ),
}


def refuse(rows: Rows, host: str, status: str) -> None:
    trigger, body, _ = HOSTS[host]
    rows.all(f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; END $$")
    rows.all(f"CREATE {trigger} FOR EACH ROW WHEN ({REFUSES.format(status=status)}) EXECUTE FUNCTION refuse()")


class Pair:
    """Two jobs in sessions of their own: `guarded`, whose session is refused, and `free`."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.sessions = rows.add_session(initial_prompt="guarded"), rows.add_session()
        self.jobs = [rows.add_job(session_id=session_id, max_retries=1) for session_id in self.sessions]

    def statuses(self) -> tuple[str, str]:
        guarded, free = (self.rows.session(session_id)["status"] for session_id in self.sessions)
        return guarded, free

    def job_statuses(self) -> set[str]:
        return {self.rows.status(job_id) for job_id in self.jobs}


@pytest.fixture
def pair(rows: Rows) -> Pair:
    return Pair(rows)


def start_both(steps: Steps) -> tuple[UUID, list[AttemptKey]]:
    worker = steps.add_worker()
    return worker, [held for claim in steps.claim() if (held := steps.start(worker, claim))]


def refusals(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, str]]:
    """Of the lines about sessions: the session, the status that it was to have, and the reason."""
    lines = [vars(record) for record in caplog.records if record.message.startswith("Session keeps its status: ")]
    return [(line["sessionId"], line["wanted"], line["reason"]) for line in lines]


def counted(rows: Rows) -> int:
    return int(rows.value("SELECT coalesce(sum(ever_session_refused), 0) FROM job_counts WHERE queue = 'coding'"))


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("end", ENDS)
def test_a_job_ends_with_its_own_outcome(
    steps: Steps, rows: Rows, pair: Pair, caplog: pytest.LogCaptureFixture, end: str, host: str
) -> None:
    end_both, wanted, status = ENDS[end]
    _, both = start_both(steps)
    refuse(rows, host, wanted)

    assert end_both(steps, both).keys() == set(pair.jobs)

    assert pair.job_statuses() == {status}
    assert pair.statuses() == ("active", wanted)
    assert refusals(caplog) == [(str(pair.sessions[0]), wanted, HOSTS[host][2])]
    assert counted(rows) == 1


@pytest.mark.parametrize("host", HOSTS)
def test_a_job_starts(steps: Steps, rows: Rows, pair: Pair, caplog: pytest.LogCaptureFixture, host: str) -> None:
    refuse(rows, host, "active")

    _, both = start_both(steps)

    assert len(both) == 2
    assert pair.statuses() == ("pending", "active")
    assert refusals(caplog) == [(str(pair.sessions[0]), "active", HOSTS[host][2])]
    assert all(steps.complete(held) for held in both)
    assert pair.statuses() == ("completed", "completed")


@pytest.mark.parametrize("host", HOSTS)
def test_a_job_is_cancelled(steps: Steps, rows: Rows, pair: Pair, host: str) -> None:
    refuse(rows, host, "failed")

    assert [steps.queue.cancel_job(job_id) for job_id in pair.jobs] == ["cancelled", "cancelled"]

    assert pair.statuses() == ("pending", "failed")


def test_a_job_that_was_to_be_cancelled_is_handed_back(steps: Steps, rows: Rows, pair: Pair) -> None:
    _, both = start_both(steps)
    refuse(rows, "error", "failed")

    assert [steps.queue.cancel_job(job_id) for job_id in pair.jobs] == ["processing", "processing"]
    assert steps.book.release([(held, Released()) for held in both]).keys() == set(pair.jobs)

    assert pair.job_statuses() == {"cancelled"}
    assert pair.statuses() == ("active", "failed")


@pytest.mark.parametrize("host", HOSTS)
def test_a_job_of_a_lost_worker_is_taken_back(steps: Steps, rows: Rows, pair: Pair, host: str) -> None:
    worker, _ = start_both(steps)
    refuse(rows, host, "failed")
    steps.book.stop(worker)

    assert steps.reclaim() == dict.fromkeys(pair.jobs, ("crashed", "failed"))

    assert pair.statuses() == ("active", "failed")


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("status", ["completed", "failed"])
def test_the_node_workers_functions_end_a_job(steps: Steps, rows: Rows, pair: Pair, host: str, status: str) -> None:
    refuse(rows, host, status)
    for _ in pair.jobs:
        job = steps.queue.claim_next_job()
        assert job
        if status == "completed":
            steps.queue.complete_job(job.job_id)
        else:
            steps.queue.fail_job(job.job_id, "no")

    assert pair.job_statuses() == {status}
    assert pair.statuses() == ("pending", status)
    assert counted(rows) == 1


def test_a_constraint_of_the_host_refuses_too(steps: Steps, rows: Rows, pair: Pair) -> None:
    _, both = start_both(steps)
    rows.all("ALTER TABLE coding_sessions ADD CHECK (initial_prompt <> 'guarded' OR status = 'active') NOT VALID")

    steps.book.complete([(held, Completed(None)) for held in both])

    assert (pair.job_statuses(), pair.statuses()) == ({"completed"}, ("active", "completed"))


def test_a_rule_of_the_host_refuses_too(steps: Steps, rows: Rows, pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    _, both = start_both(steps)
    rows.all(
        "CREATE RULE refuse AS ON UPDATE TO coding_sessions WHERE OLD.initial_prompt = 'guarded' DO INSTEAD NOTHING"
    )

    steps.book.complete([(held, Completed(None)) for held in both])

    assert (pair.job_statuses(), pair.statuses()) == ({"completed"}, ("active", "completed"))
    assert refusals(caplog) == [(str(pair.sessions[0]), "completed", SUPPRESSED)]


def test_what_is_no_refusal_is_not_counted(steps: Steps, rows: Rows, caplog: pytest.LogCaptureFixture) -> None:
    """A session with other open jobs, one that has expired, one that is active already, one that is not there."""
    several, expired, _not_concerned = rows.add_session(), rows.add_session(status="expired"), rows.add_session()
    for session_id in (several, several, expired):
        rows.add_job(session_id=session_id)
    rows.all("INSERT INTO coding_jobs (session_id, prompt) VALUES (gen_random_uuid(), 'hello')")
    worker = steps.add_worker()
    first, *others = [held for claim in steps.claim() if (held := steps.start(worker, claim))]

    steps.complete(first)
    assert rows.session(several)["status"] == "active"
    steps.book.complete([(held, Completed(None)) for held in others])

    assert (rows.session(several)["status"], rows.session(expired)["status"]) == ("completed", "expired")
    assert (refusals(caplog), counted(rows)) == ([], 0)


def test_deferred_constraints_of_the_callers_transaction_stay_deferred(
    steps: Steps, rows: Rows, pair: Pair, dsn: str
) -> None:
    refuse(rows, "deferred", "completed")
    guarded, _ = pair.sessions
    assert steps.queue.claim_next_job()
    with psycopg.connect(dsn) as caller:
        caller.execute("SELECT complete_job(%s)", [pair.jobs[0]])
        caller.execute("UPDATE coding_sessions SET status = 'completed' WHERE id = %s", [guarded])
        with pytest.raises(psycopg.errors.RaiseException, match="too late"):
            caller.commit()


@pytest.mark.parametrize(
    "refusal",
    [
        "ALTER TABLE coding_sessions ADD CHECK (status <> 'failed')",
        (
            "ALTER TABLE coding_sessions ENABLE ROW LEVEL SECURITY;"
            "CREATE POLICY few ON coding_sessions USING (true) WITH CHECK (status <> 'failed')"
        ),
        "REVOKE UPDATE ON coding_sessions FROM operator",
    ],
)
def test_a_role_with_few_rights_ends_jobs(steps: Steps, rows: Rows, pair: Pair, dsn: str, refusal: str) -> None:
    rows.all("CREATE ROLE operator; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO operator")
    try:
        rows.all("""GRANT SELECT, UPDATE ON coding_jobs, coding_sessions TO operator;
                    GRANT INSERT ON job_audit TO operator""")
        rows.all(refusal)
        with psycopg.connect(dsn, autocommit=True) as operator:
            operator.execute("SET ROLE operator")
            assert operator.execute("SELECT cancel_job(%s)", [pair.jobs[0]]).fetchone() == ("cancelled",)
    finally:
        rows.all("DROP OWNED BY operator; DROP ROLE operator")

    assert pair.statuses()[0] == "pending"
    assert counted(rows) == 1


def test_counts_of_refusals_survive_a_fold_and_a_recount(steps: Steps, rows: Rows, pair: Pair) -> None:
    refuse(rows, "error", "failed")
    elsewhere = rows.add_job(queue="elsewhere", session_id=rows.add_session())
    rows.all("UPDATE coding_jobs SET updated_at = now() + interval '1 hour' WHERE id = %s", [elsewhere])
    steps.queue.cancel_job(pair.jobs[0])

    steps.queue.fold_job_counts(limit=1000)
    assert counted(rows) == 1
    rows.all("SELECT recount_jobs()")
    assert counted(rows) == 1


def test_an_error_that_is_no_refusal_ends_the_call(steps: Steps, rows: Rows, pair: Pair) -> None:
    """The reports of its job are then tried again, and the session follows."""
    _, both = start_both(steps)
    rows.all("""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE 'disk full' USING ERRCODE = 'disk_full'; END $$;
        CREATE TRIGGER refuse BEFORE UPDATE ON coding_sessions FOR EACH ROW EXECUTE FUNCTION refuse()""")

    with pytest.raises(Exception, match="disk full"):
        steps.complete(both[0])

    assert pair.job_statuses() == {"processing"}
