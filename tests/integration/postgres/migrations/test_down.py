"""The way back: the database is what it was, its rows are kept, and the Node worker works again."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from bridge.errors import SchemaError
from bridge.postgres.connection import Connection
from bridge.postgres.migrations import MigrationError, migrate_down, migrate_up
from bridge.postgres.startup_checks import check_database
from tests.support.catalog import HOST_TABLES, catalog, changed, differences
from tests.support.legacy import fill, session_of
from tests.support.played_node_worker import QUEUE, NodeWorker
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.waiting import eventually


def test_the_database_is_what_it_was(supabase: Rows, empty_dsn: str) -> None:
    before = catalog(supabase)
    fill(supabase, 50, "completed")
    migrate_up(empty_dsn)

    done = migrate_down(empty_dsn, drop=True)

    assert done.notes == []
    assert differences(before, catalog(supabase)) == {}
    assert supabase.value("SELECT count(*) FROM coding_jobs") == 50


def test_tables_and_columns_stay_by_default(supabase: Rows, empty_dsn: str) -> None:
    before = catalog(supabase)
    migrate_up(empty_dsn)
    columns = {name for name in catalog(supabase) if name.startswith("column coding_jobs.")}

    migrate_down(empty_dsn)

    after = catalog(supabase)
    left = [
        name
        for name in changed(before, after)
        if any(name.endswith(f" {table}") or f" {table}." in name for table in HOST_TABLES)
    ]
    assert left == sorted(columns - before.keys())
    assert all(name in after for name in ("table job_attempts", "table workers", "table session_streams"))
    assert {name for name in after.keys() - before.keys() if name.startswith("function ")} == {
        "function mobvibe_database_id()", "function may_choose_actor()"
    }  # fmt: skip
    assert migrate_down(empty_dsn).steps == []
    assert migrate_down(empty_dsn, drop=True).steps == ["0005_tables"]
    assert differences(before, catalog(supabase)) == {}
    assert migrate_down(empty_dsn, drop=True).steps == []


@pytest.mark.parametrize("drop", [False, True])
def test_the_bridge_may_come_again(supabase: Rows, empty_dsn: str, drop: bool) -> None:
    before = catalog(supabase)
    migrate_up(empty_dsn)
    adopted = catalog(supabase)
    migrate_down(empty_dsn, drop=drop)

    migrate_up(empty_dsn)

    check_database(empty_dsn)
    assert set(changed(adopted, catalog(supabase))) <= {"function mobvibe_database_id()"}
    migrate_down(empty_dsn, drop=True)
    assert differences(before, catalog(supabase)) == {}


@pytest.fixture
def node(old: Rows, empty_dsn: str) -> Iterator[NodeWorker]:
    """The database as the Node worker had it, with its own functions, and a worker that is not started yet."""
    old.all(QUEUE)
    worker = NodeWorker(empty_dsn, run_once(old))
    yield worker
    worker.stop()


def run_once(rows: Rows) -> Callable[[Any], None]:
    rows.all("CREATE TABLE runs (job_id uuid, prompt text)")

    def run(job: Any) -> None:
        rows.all("INSERT INTO runs VALUES (%s, %s)", [job[0], job[2]])
        if job[2] == "explode":
            raise RuntimeError("boom")

    return run


def test_the_node_worker_works_again(old: Rows, empty_dsn: str, node: NodeWorker) -> None:
    migrate_up(empty_dsn)
    session = session_of(old)
    waiting = old.add_job(session_id=session, prompt="p")
    failing = old.add_job(session_id=session, prompt="explode", max_retries=2)
    migrate_down(empty_dsn)
    with psycopg.connect(empty_dsn, autocommit=True) as listening:
        listening.execute("LISTEN new_job; LISTEN job_status_changed")

        later = old.add_job(session_id=session, prompt="p")
        node.start()

        eventually(
            lambda: [old.status(job) for job in (waiting, failing, later)] == ["completed", "failed", "completed"]
        )
        payloads = [json.loads(one.payload) for one in listening.notifies(timeout=5, stop_after=8)]
    assert payloads[0] == {"job_id": str(later), "session_id": str(session), "priority": 0} | {
        "created_at": payloads[0]["created_at"]
    }
    assert {(one["old_status"], one["new_status"]) for one in payloads[1:]} == {
        ("pending", "processing"), ("processing", "completed"), ("processing", "pending"), ("processing", "failed"),
    }  # fmt: skip
    assert old.session(session)["status"] == "failed"
    assert old.value("SELECT count(*) FROM runs") == 4
    assert old.all("SELECT * FROM get_queue_stats()")[0]["completed_count"] == 2
    assert node.errors == []


def test_a_database_that_the_bridge_made_gets_what_the_node_worker_calls(dsn: str, rows: Rows) -> None:
    session = rows.add_session()
    jobs = [rows.add_job(session_id=session, prompt=prompt, max_retries=1) for prompt in ("p", "explode")]

    migrate_down(dsn)

    worker = NodeWorker(dsn, run_once(rows))
    worker.start()
    eventually(lambda: [rows.status(job) for job in jobs] == ["completed", "failed"])
    worker.stop()
    assert rows.session(session)["status"] == "failed"
    assert rows.value("SELECT to_regclass('coding_jobs_status_priority_idx')")
    with pytest.raises(SchemaError, match="mobvibe migrate up"):
        check_database(dsn, tries=1)
    migrate_up(dsn)
    check_database(dsn)


def test_rows_that_the_node_worker_does_not_know_are_mapped(old: Rows, empty_dsn: str) -> None:
    old.all(QUEUE)
    migrate_up(empty_dsn)
    steps, session = Steps(empty_dsn, old), session_of(old)
    steps.add_worker()
    claimed, cancelling = (old.add_job(session_id=session, prompt="p", priority=9) for _ in range(2))
    assert len(steps.claim()) == 2
    old.all("UPDATE coding_jobs SET cancel_requested_at = now() WHERE id = %s", [cancelling])
    by_node = old.add_job(session_id=session, prompt="p", priority=9)
    old.all("SELECT * FROM claim_next_job()")
    cancelled = old.add_job(session_id=session, prompt="p", status="cancelled", updated_at="2026-01-01")
    report = old.add_job(actor="build_report", queue="reports", payload={"n": 7})
    later = old.add_job(session_id=session, prompt="p", run_at="2999-01-01")
    retry = old.add_job(session_id=session, prompt="p", run_at="2999-01-01", retry_count=1)
    steps.close()

    done = migrate_down(empty_dsn, force=True)

    assert {job: old.status(job) for job in (claimed, cancelling, by_node, cancelled, report, later, retry)} == {
        claimed: "pending", cancelling: "failed", by_node: "processing", cancelled: "failed", report: "failed",
        later: "failed", retry: "pending",
    }  # fmt: skip
    assert old.job(cancelled)["error_message"] == "cancelled"
    assert old.job(cancelled)["updated_at"].month == 1, "a trigger of the host's took the new word for news of the job"
    assert old.job(report)["error_message"].endswith("the Node worker cannot run the actor build_report")
    assert "cannot wait until 2999-01-01" in old.job(later)["error_message"]
    assert old.all("SELECT outcome FROM job_attempts WHERE job_id = %s", [claimed]) == [{"outcome": "released"}]
    assert len(done.notes) == 4
    assert "coding_jobs.session_id may still be NULL: 1 rows have none" in done.notes


def test_a_job_of_the_node_worker_goes_on_through_all_changes(old: Rows, empty_dsn: str) -> None:
    """A bridge has claimed it, then the Node worker, which reports when the bridge is back."""
    old.all(QUEUE)
    migrate_up(empty_dsn)
    job = old.add_job(session_id=session_of(old), prompt="p")
    steps = Steps(empty_dsn, old)
    held = steps.started()
    assert steps.fail(held)
    migrate_down(empty_dsn, force=True)
    assert old.all("SELECT * FROM claim_next_job()")[0]["job_id"] == job

    migrate_up(empty_dsn)

    assert steps.reclaim() == {}
    assert not steps.complete(held)
    old.all("SELECT complete_job(%s)", [job])
    assert old.status(job) == "completed"
    ledger = old.all("SELECT fence, outcome FROM job_attempts ORDER BY fence")
    assert ledger == [{"fence": 1, "outcome": "failed"}, {"fence": 2, "outcome": "completed"}]
    steps.close()


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        ("INSERT INTO coding_jobs (actor) VALUES ('build_report')", "1 waiting jobs of other actors (build_report)"),
        (
            "INSERT INTO coding_jobs (prompt) VALUES ('p')",
            "1 waiting jobs of other actors (without a session or prompt)",
        ),
        (
            "INSERT INTO coding_jobs (session_id, prompt, run_at) SELECT id, 'p', '2999-01-01' FROM coding_sessions",
            "1 jobs that wait for their time (run_at)",
        ),
        (
            (
                "SELECT pause_queue('coding', 'ops');"
                " INSERT INTO coding_jobs (session_id, prompt) SELECT id, 'p' FROM coding_sessions"
            ),
            "paused queues with waiting jobs: coding",
        ),
        (
            "INSERT INTO notification_relay (bridge, relays_until) VALUES ('host:1', '2999-01-01')",
            "live: bridge host:1",
        ),
        (
            (
                "INSERT INTO workers (id, name, slots, queues, actors, version, lease_expires_at)"
                " VALUES (gen_random_uuid(), 'host:2', 1, '{}', '{}', '1', '2999-01-01')"
            ),
            "live: worker host:2",
        ),
    ],
)
def test_what_would_be_harmed_is_named_and_nothing_changed(old: Rows, empty_dsn: str, harm: str, named: str) -> None:
    session_of(old)
    migrate_up(empty_dsn)
    for text in harm.split("; "):
        old.all(text)
    before = catalog(old)

    with pytest.raises(MigrationError) as caught:
        migrate_down(empty_dsn)

    assert str(caught.value).startswith(f"Nothing was changed. In the way: {named}")
    assert "→" in str(caught.value)
    assert "--force" in str(caught.value)
    assert catalog(old) == before
    migrate_down(empty_dsn, force=True)


@pytest.mark.parametrize("at", range(8, 113, 15))
@pytest.mark.parametrize("supabase", ["data"], indirect=True)
def test_the_way_back_may_be_stopped_at_any_point_and_repeated(
    supabase: Rows, empty_dsn: str, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    before = catalog(supabase)
    fill(supabase, 10, "pending")
    migrate_up(empty_dsn)
    supabase.all("UPDATE coding_jobs SET status = 'cancelled' WHERE prompt = 'p'")
    real, calls = Connection.execute, 0

    def execute(connection: Connection, *arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > at:
            raise KeyboardInterrupt
        return real(connection, *arguments, **options)

    monkeypatch.setattr(Connection, "execute", execute)
    with suppress(KeyboardInterrupt):
        migrate_down(empty_dsn, drop=True)
    monkeypatch.setattr(Connection, "execute", real)

    migrate_down(empty_dsn, drop=True)

    assert differences(before, catalog(supabase)) == {}
    assert supabase.value("SELECT count(*) FROM coding_jobs WHERE status = 'failed'") == 10


def test_old_events_may_break_the_rule_that_comes_back(old: Rows, empty_dsn: str) -> None:
    migrate_up(empty_dsn)
    session = session_of(old)
    old.all("INSERT INTO session_events (session_id, event_type, data) VALUES (%s, 'question', '{}')", [session])

    done = migrate_down(empty_dsn)

    assert done.notes == [
        "session_events_event_type_check holds for new rows of session_events only: older ones break it"
    ]
    with pytest.raises(psycopg.errors.CheckViolation):
        old.all("INSERT INTO session_events (session_id, event_type, data) VALUES (%s, 'question', '{}')", [session])


def test_events_are_in_their_order_after_the_bridge_has_come_again(old: Rows, empty_dsn: str) -> None:
    session = session_of(old)

    def add(n: int) -> None:
        old.all(
            "INSERT INTO session_events (session_id, event_type, data) VALUES (%s, 'thinking', %s)", [session, str(n)]
        )

    migrate_up(empty_dsn)
    add(0)
    migrate_down(empty_dsn)
    add(1)
    migrate_up(empty_dsn)
    add(2)

    found = old.all("SELECT data FROM get_session_events(%s)", [session])
    assert [row["data"] for row in found] == [2, 1, 0]
    assert old.value("SELECT max(seq) FROM session_events") == 2, "the numbers go on, for readers that have seen 1"


@pytest.mark.parametrize("is_granted_later", [False, True])
def test_only_the_owner_may_use_what_is_written_down(supabase: Rows, empty_dsn: str, is_granted_later: bool) -> None:
    migrate_up(empty_dsn)
    if is_granted_later:
        supabase.all("GRANT ALL ON ALL TABLES IN SCHEMA public TO anon, authenticated, service_role")
        supabase.all("SELECT mobvibe_close_rights()")

    for role in ("anon", "authenticated", "service_role"):
        assert not supabase.value(
            "SELECT has_table_privilege(%s, 'adopted_definitions', 'SELECT, INSERT, UPDATE, DELETE')", [role]
        )


def test_functions_that_rely_on_a_search_path_come_back_where_ours_is_another(supabase: Rows, empty_dsn: str) -> None:
    supabase.all("DROP FUNCTION IF EXISTS get_queue_stats()")
    supabase.all("""
        CREATE FUNCTION get_queue_stats() RETURNS TABLE (pending_count bigint, processing_count bigint,
            completed_count bigint, failed_count bigint, oldest_pending_age interval) LANGUAGE sql
        AS 'SELECT count(*), 0, 0, 0, max(now() - created_at) FROM coding_jobs'""")
    before = catalog(supabase)
    name = supabase.value("SELECT current_database()")
    supabase.all(f"CREATE SCHEMA elsewhere; ALTER DATABASE {name} SET search_path = elsewhere")
    migrate_up(empty_dsn)

    migrate_down(empty_dsn, drop=True)

    assert differences(before, catalog(supabase)) == {}
    assert supabase.value("SELECT pending_count FROM get_queue_stats()") == 0


def test_what_somebody_has_dropped_meanwhile_is_in_nobodys_way(supabase: Rows, empty_dsn: str) -> None:
    before = catalog(supabase)
    migrate_up(empty_dsn)
    supabase.all(
        "DROP FUNCTION notify_new_job CASCADE; DROP FUNCTION IF EXISTS claim_jobs, cancel_job, get_queue_stats"
    )
    supabase.all('DROP POLICY "insert events" ON session_events; DROP INDEX jobs_ready, coding_sessions_created')
    supabase.all("ALTER TABLE coding_jobs DROP CONSTRAINT coding_jobs_counts_check; DROP TABLE job_search")

    migrate_down(empty_dsn, drop=True)

    assert changed(before, catalog(supabase)) == ["policy insert events on session_events"]


@pytest.mark.usefixtures("stranger")
def test_statements_that_another_role_has_written_are_not_executed(rows: Rows, dsn: str) -> None:
    rows.all("GRANT CREATE ON SCHEMA public TO stranger; SET ROLE stranger")
    rows.all("CREATE TABLE adopted_definitions (kind text, name text, definition text)")
    rows.all("INSERT INTO adopted_definitions VALUES ('function', 'f', 'ALTER ROLE stranger SUPERUSER')")
    rows.all("RESET ROLE")

    with pytest.raises(MigrationError, match=r"adopted_definitions belongs to stranger"):
        migrate_down(dsn)

    assert not rows.value("SELECT rolsuper FROM pg_roles WHERE rolname = 'stranger'")
    assert rows.value("SELECT mobvibe_schema_version()")

    rows.all("DROP TABLE adopted_definitions")
    assert migrate_down(dsn).steps
