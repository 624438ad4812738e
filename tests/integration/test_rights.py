"""Who may do what: the web roles nothing, a role without rights one clear line."""

from collections.abc import Iterator
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from bridge.database import Link, check_database
from bridge.errors import PostgresUnavailableError, RightsError, SettingsError
from bridge.migrations import migrate_up
from tests.conftest import Servers
from tests.support import legacy
from tests.support.rows import Rows

OUR_FUNCTIONS = """
    SELECT p.oid::regprocedure::text AS name FROM pg_proc p
    WHERE p.pronamespace = 'public'::regnamespace AND p.proname NOT IN ('mobvibe_schema_version', 'mobvibe_database_id')
      AND p.proname NOT IN ('touch', 'note_usage')
"""


@pytest.fixture
def web_roles(servers: Servers, template_database: str) -> Iterator[None]:
    """Roles belong to all databases of a server: here for one test, and only after the template was made."""
    with psycopg.connect(servers.database_url("postgres"), autocommit=True) as connection:
        connection.execute(legacy.NO_ROLES)
        connection.execute(legacy.ROLES)
        yield
        connection.execute(legacy.NO_ROLES)


@pytest.fixture
def supabase(web_roles: None, empty_dsn: str) -> Iterator[Rows]:
    """An old database with Supabase's roles and their generous defaults, migrated."""
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        rows = Rows(connection)
        rows.all(legacy.GENEROUS_DEFAULTS + legacy.SCHEMA + legacy.session_events("data", checked=True))
        migrate_up(empty_dsn)
        yield rows


def test_web_roles_can_call_none_of_our_functions(supabase: Rows) -> None:
    functions = [row["name"] for row in supabase.all(OUR_FUNCTIONS)]
    assert len(functions) >= 25

    for role in ("anon", "authenticated"):
        callable_ = [
            f for f in functions if supabase.value("SELECT has_function_privilege(%s, %s, 'EXECUTE')", [role, f])
        ]
        assert callable_ == [], role


def test_the_service_role_can_call_what_the_node_worker_calls(supabase: Rows) -> None:
    supabase.all("SET ROLE service_role")
    for call in (
        "claim_next_job()",
        "complete_job(gen_random_uuid())",
        "fail_job(gen_random_uuid(), 'x')",
        "get_queue_stats()",
    ):
        supabase.all(f"SELECT * FROM {call}")


@pytest.mark.parametrize("table", ["job_attempts", "workers", "job_audit"])
def test_web_roles_cannot_touch_our_tables(supabase: Rows, table: str) -> None:
    for role in ("anon", "authenticated"):
        supabase.all(f"SET ROLE {role}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            supabase.all(f"SELECT * FROM {table}")
        supabase.all("RESET ROLE")


def test_web_roles_can_no_longer_write_events(supabase: Rows) -> None:
    supabase.all("SET ROLE anon")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        supabase.all("INSERT INTO session_events (session_id, event_type, data) VALUES (gen_random_uuid(), 'x', '{}')")


def test_every_function_has_an_empty_search_path(rows: Rows) -> None:
    open_ = rows.all(f"""
        SELECT f.name FROM ({OUR_FUNCTIONS}) f JOIN pg_proc p ON p.oid = f.name::regprocedure
        WHERE NOT coalesce(p.proconfig, '{{}}') @> ARRAY['search_path=""']""")
    as_owner = rows.all(
        f"SELECT p.proname FROM ({OUR_FUNCTIONS}) f JOIN pg_proc p ON p.oid = f.name::regprocedure WHERE p.prosecdef"
    )

    assert open_ == []
    assert {row["proname"] for row in as_owner} == {
        "count_changed_jobs",
        "count_deleted_jobs",
        "count_new_jobs",
        "count_no_jobs",
        "delete_attempts_of_jobs",
        "delete_jobs_of_sessions",
    }


def test_an_old_client_needs_rights_on_its_tables_only(rows: Rows) -> None:
    role = f"old_{uuid4().hex[:8]}"
    rows.all(f"CREATE ROLE {role}")
    rows.all(f"GRANT SELECT, INSERT, UPDATE, DELETE ON coding_jobs, coding_sessions, session_events TO {role}")
    session = rows.add_session()
    try:
        rows.all(f"SET ROLE {role}")
        job = rows.add_job(session_id=session, prompt="an old client's")
        rows.all("INSERT INTO session_events (session_id, event_type) VALUES (%s, 'thinking')", [session])
        rows.all("UPDATE coding_jobs SET priority = 5 WHERE id = %s", [job])
        rows.all("DELETE FROM coding_jobs WHERE id = %s", [job])
        rows.all("DELETE FROM coding_sessions WHERE id = %s", [session])
    finally:
        rows.all("RESET ROLE")
        rows.all(f"DROP OWNED BY {role}")
        rows.all(f"DROP ROLE {role}")


def test_public_can_call_none_of_our_functions(rows: Rows) -> None:
    for row in rows.all(OUR_FUNCTIONS):
        granted = rows.value(
            "SELECT EXISTS (SELECT FROM pg_proc p, aclexplode(p.proacl) a"
            " WHERE p.oid = %s::regprocedure AND a.grantee = 0)",
            [row["name"]],
        )
        assert granted is False, row["name"]


def as_role(dsn: str, role: str) -> str:
    parts = urlsplit(dsn)
    return f"postgresql://{role}:secret@{parts.hostname}:{parts.port}{parts.path}"


@pytest.fixture
def stranger(dsn: str, rows: Rows) -> Iterator[str]:
    rows.all("CREATE ROLE stranger LOGIN PASSWORD 'secret'")
    yield as_role(dsn, "stranger")
    rows.all("DROP OWNED BY stranger; DROP ROLE stranger")


def test_a_role_without_rights_is_refused_in_one_line(stranger: str, rows: Rows) -> None:
    with pytest.raises(RightsError, match=r"may not use table public.* and \d+ more\. Use the role that ran"):
        check_database(stranger)


def test_rows_hidden_by_row_security_are_no_empty_queue(stranger: str, rows: Rows) -> None:
    rows.all("""
        GRANT ALL ON ALL TABLES IN SCHEMA public TO stranger;
        GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO stranger;
        ALTER TABLE coding_jobs ENABLE ROW LEVEL SECURITY;
    """)
    with pytest.raises(RightsError, match="see the rows of public.coding_jobs"):
        check_database(stranger)


def test_a_role_with_the_granted_rights_is_enough(stranger: str, rows: Rows) -> None:
    rows.all("""
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO stranger;
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO stranger;
        GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO stranger;
    """)
    check_database(stranger)


def test_a_wrong_password_names_the_role_and_not_the_password(dsn: str) -> None:
    parts = urlsplit(dsn)
    wrong = f"postgresql://{parts.username}:geheim-4711@{parts.hostname}:{parts.port}{parts.path}"

    try:
        psycopg.connect(wrong).close()
    except psycopg.OperationalError:
        pass
    else:
        pytest.skip("this server lets everybody in without a password")
    with pytest.raises(PostgresUnavailableError, match="password authentication failed") as raised:
        check_database(wrong, tries=1)

    assert "geheim" not in str(raised.value)


def test_an_address_the_driver_cannot_read_is_not_shown() -> None:
    link = Link("postgresql://u:geheim-4711@h/d?options=%zz", "test")

    with pytest.raises(SettingsError, match="DATABASE_URL cannot be read") as raised:
        link.call("check_schema")

    assert "geheim" not in str(raised.value)
