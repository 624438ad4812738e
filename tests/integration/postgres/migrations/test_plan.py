"""What is in the way of a migration, and what it would change, is told beforehand."""

from uuid import uuid4

import psycopg
import pytest
from pydantic import SecretStr

from bridge.cli.doctor import preview_migration
from bridge.postgres.connect import connect
from bridge.postgres.migrations import MigrationError, find_conflicts, migrate_up
from bridge.settings import Settings
from tests.conftest import Servers
from tests.support.catalog import catalog, changed, is_named, is_of_the_host
from tests.support.legacy import fill, session_of
from tests.support.rows import Rows


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("ALTER TABLE coding_jobs ADD COLUMN result text", "column coding_jobs.result is text, the bridge's is jsonb"),
        ("ALTER TABLE coding_jobs ADD COLUMN worker text", "column coding_jobs.worker is text, the bridge's is uuid"),
        ("ALTER TABLE coding_jobs ADD COLUMN payload jsonb", "column coding_jobs.payload is yours already"),
        (
            "ALTER TABLE coding_jobs ADD COLUMN tenant text NOT NULL",
            "coding_jobs.tenant is required and has no default",
        ),
        ("ALTER TABLE coding_jobs DROP COLUMN retry_count", "column coding_jobs.retry_count is missing"),
        (
            "CREATE TYPE job_status AS ENUM (); ALTER TABLE coding_jobs DROP status, ADD COLUMN status job_status",
            "column coding_jobs.status is job_status, the bridge's is text",
        ),
        (
            "ALTER TABLE coding_jobs ALTER COLUMN created_at TYPE timestamp",
            "coding_jobs.created_at is timestamp without",
        ),
        (
            "DROP FUNCTION complete_job; CREATE FUNCTION complete_job(job_id uuid) RETURNS void LANGUAGE sql AS ''",
            "function complete_job(uuid) names its parameters job_id, the bridge's job_id_param",
        ),
        (
            "DROP FUNCTION fail_job;CREATE FUNCTION fail_job(job_id_param uuid, error_msg text) RETURNS text RETURN ''",
            "function fail_job(uuid,text) returns text, the bridge's returns boolean",
        ),
        (
            "CREATE FUNCTION cancel_job(n integer) RETURNS void LANGUAGE sql AS ''",
            "function cancel_job(integer) has the name",
        ),
        ("CREATE VIEW workers AS SELECT 1 AS one", "public.workers is a view"),
        ("CREATE TABLE job_audit (what text)", "public.job_audit exists already and is not the bridge's"),
        (
            "CREATE TABLE adopted_definitions (kind text, name text, definition text)",
            "public.adopted_definitions exists already and is not the bridge's",
        ),
        (
            "CREATE TABLE others (n integer); CREATE INDEX jobs_ready ON others (n)",
            "index jobs_ready is on table others",
        ),
        ("CREATE TABLE coding_jobs_seq (n integer)", "public.coding_jobs_seq exists already and is no sequence"),
        ("ALTER TABLE session_events DROP COLUMN data", "session_events has neither data nor event_data"),
        ("ALTER TABLE session_events DROP CONSTRAINT session_events_pkey", "session_events.id is no primary key"),
        ("CREATE TABLE queue_pauses (n integer)", "public.queue_pauses exists already and is not the bridge's"),
        ("CREATE TABLE session_streams (n integer)", "public.session_streams exists already and is not the bridge's"),
    ],
)
def test_conflicts_are_reported_before_the_first_change(empty_dsn: str, old: Rows, host: str, expected: str) -> None:
    old.all(host)
    before = old.all("SELECT oid, relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1")

    with pytest.raises(MigrationError) as caught:
        migrate_up(empty_dsn)

    assert str(caught.value).startswith("Nothing was changed. In the way: ")
    assert expected in str(caught.value)
    assert "→" in str(caught.value)
    assert "\n" not in str(caught.value)
    after = old.all("SELECT oid, relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1")
    assert after == before


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_whose_encoding_is_not_utf8_is_refused(servers: Servers, settings: Settings, encoding: str) -> None:
    name = f"test_{encoding.lower()}_{uuid4().hex[:8]}"
    with psycopg.connect(servers.database_url("postgres"), autocommit=True) as connection:
        connection.execute(
            f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
        )
        try:
            with pytest.raises(MigrationError) as caught:
                migrate_up(servers.database_url(name))
            there = settings.model_copy(update={"database_url": SecretStr(servers.database_url(name))})
            ahead = preview_migration(there)
            with psycopg.connect(servers.database_url(name)) as inside:
                made = Rows(inside).all("SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace")
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    assert str(caught.value).startswith(
        f"Nothing was changed. In the way: the database's encoding is {encoding}, which cannot hold every text"
    )
    assert "ENCODING 'UTF8' TEMPLATE template0" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [finding.check for finding in ahead if finding.state == "fail"] == ["in the way"]
    assert made == []


def test_all_conflicts_are_reported_together(empty_dsn: str, old: Rows) -> None:
    old.all(
        "ALTER TABLE coding_jobs ADD COLUMN result text, ADD COLUMN worker text; CREATE TABLE job_audit (what text)"
    )

    with connect(empty_dsn, "test") as connection:
        assert len(find_conflicts(connection)) == 3


def test_the_doctor_lists_beforehand_what_would_change_and_changes_nothing(
    empty_dsn: str, old: Rows, settings: Settings
) -> None:
    fill(old, 3, "pending")
    old.add_job(session_id=session_of(old), prompt="p", priority=None)
    old.all("ALTER FUNCTION complete_job SECURITY DEFINER")
    ours = settings.model_copy(update={"database_url": SecretStr(empty_dsn)})
    before = old.all("SELECT oid, relname FROM pg_class ORDER BY 1")

    listed = [finding.found for finding in preview_migration(ours)]

    assert old.all("SELECT oid, relname FROM pg_class ORDER BY 1") == before
    for text in (
        "columns are added to coding_jobs: actor, queue",
        "complete_job(uuid) is replaced and is SECURITY DEFINER no more",
        "index coding_jobs_status_priority_idx on coding_jobs is dropped",
        "1 rows are repaired",
        "1 waiting rows have no priority: they came first",
        "4 unfinished rows get a number",
    ):
        assert any(text in line for line in listed), (text, listed)
    old.all("ALTER TABLE coding_jobs ADD COLUMN result text")
    assert preview_migration(ours)[0].check == "in the way"
    old.all("ALTER TABLE coding_jobs DROP COLUMN result")
    migrate_up(empty_dsn)
    assert [finding.found for finding in preview_migration(ours)] == ["up to date: nothing would change"]


def test_every_difference_in_what_is_the_hosts_is_named_beforehand(
    supabase: Rows, empty_dsn: str, settings: Settings
) -> None:
    before = catalog(supabase)
    fill(supabase, 3, "pending")
    ours = settings.model_copy(update={"database_url": SecretStr(empty_dsn)})
    lines = [finding.found for finding in preview_migration(ours)]

    migrate_up(empty_dsn)

    theirs = [name for name in changed(before, catalog(supabase)) if name in before or is_of_the_host(name)]
    assert len(theirs) > 60
    assert [name for name in theirs if not is_named(name, lines)] == []


def test_nothing_is_named_that_stays(supabase: Rows, empty_dsn: str, settings: Settings) -> None:
    ours = settings.model_copy(update={"database_url": SecretStr(empty_dsn)})
    before = catalog(supabase)
    lines = [line for line in (finding.found for finding in preview_migration(ours)) if "SECURITY DEFINER" not in line]

    migrate_up(empty_dsn)

    same = before.keys() - set(changed(before, catalog(supabase)))
    kinds = ("function ", "policy ", "trigger ", "rule ", "index ", "right ")
    assert [name for name in sorted(same) if name.startswith(kinds) and is_named(name, lines)] == []
