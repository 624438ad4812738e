"""Rights: web roles may do nothing, and a role without rights gets one clear line.

Rows of docs/reference/security.md: S7, S8, S9.
"""

from collections.abc import Iterator
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import psycopg
import pytest

from bridge import enqueue
from bridge.errors import PostgresUnavailableError, RightsError, SettingsError
from bridge.postgres.link import Link
from bridge.postgres.migrations import migrate_up, migrations
from bridge.postgres.startup_checks import check_database
from tests.support import legacy
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.web_rights import open_to_the_web, tables

OUR_FUNCTIONS = """
    SELECT p.oid::regprocedure::text AS name FROM pg_proc p
    WHERE p.pronamespace = 'public'::regnamespace AND p.proname NOT IN ('mobvibe_schema_version', 'mobvibe_database_id')
      AND p.proname NOT IN ('touch', 'note_usage')
      AND p.proname <> 'error_fingerprint' -- an index calls it, as whoever fails a job
"""


@pytest.fixture
def supabase(web_roles: None, empty_dsn: str) -> Iterator[Rows]:
    """A migrated old database with Supabase's roles and their broad default grants."""
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


USERS_INSERT = (
    "INSERT INTO coding_jobs (session_id, prompt{columns}) VALUES (%s, 'an app, please'{values}) RETURNING id"
)


@pytest.fixture
def user(supabase: Rows) -> Iterator[Rows]:
    """The role of a phone: a web role, with the policies and grants of a Supabase project."""
    supabase.all("""
        CREATE POLICY "insert own" ON coding_jobs FOR INSERT TO authenticated WITH CHECK (true);
        CREATE POLICY "see own" ON coding_jobs FOR SELECT TO authenticated USING (true);
        CREATE POLICY "change own" ON coding_jobs FOR UPDATE TO authenticated USING (true);
    """)
    supabase.all("SET ROLE authenticated")
    yield supabase
    supabase.all("RESET ROLE")


@pytest.fixture
def session(supabase: Rows) -> UUID:
    user = supabase.value("INSERT INTO projects (user_id) VALUES (gen_random_uuid()) RETURNING id")
    made: UUID = supabase.value(
        "INSERT INTO coding_sessions (user_id, project_id, initial_prompt, expires_at)"
        " VALUES (gen_random_uuid(), %s, 'x', now()) RETURNING id",
        [user],
    )
    return made


def test_a_user_inserts_the_columns_of_the_original_table(session: UUID, user: Rows) -> None:
    extra = {
        "columns": ", priority, status, actor, queue, payload",
        "values": ", 5, 'pending', DEFAULT, 'coding', '{}'",
    }

    first = user.value(USERS_INSERT.format(columns="", values=""), [session])
    second = user.value(USERS_INSERT.format(**extra), [session])

    user.all("UPDATE coding_jobs SET prompt = 'another app' WHERE id = %s", [first])
    assert user.value("SELECT actor FROM coding_jobs WHERE id = %s", [second]) == "run_coding_session"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("actor", "'send_money'"), ("queue", "'urgent'"), ("payload", "'{\"to\": 1}'"), ("run_at", "'2000-01-01'"),
        ("due", "false"), ("fence", "7"), ("exec", "gen_random_uuid()"), ("worker", "gen_random_uuid()"),
        ("claimed_by", "'me'"), ("claimed_at", "now()"), ("lease_expires_at", "now()"), ("result", "'1'"),
        ("cancel_requested_at", "now()"), ("crashes", "1"), ("releases", "1"),
    ],
)  # fmt: skip
def test_a_user_cannot_set_columns_of_the_bridge(session: UUID, user: Rows, column: str, value: str) -> None:
    for statement in (
        USERS_INSERT.format(columns=f", {column}", values=f", {value}"),
        f"INSERT INTO coding_jobs (session_id, prompt, {column}) SELECT %s::uuid, 'x', {value}",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match=f"may not set coding_jobs.{column}"):
            user.all(statement, [session])

    job = user.value(USERS_INSERT.format(columns="", values=""), [session])
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match=f"may not set coding_jobs.{column}"):
        user.all(f"UPDATE coding_jobs SET {column} = {value} WHERE id = %s", [job])
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match=f"may not set coding_jobs.{column}"):
        user.all(
            f"INSERT INTO coding_jobs (id, session_id, prompt) VALUES (%s, %s, 'x')"
            f" ON CONFLICT (id) DO UPDATE SET {column} = {value}",
            [job, session],
        )


def test_a_user_cannot_set_whether_a_job_waits_for_its_actors_attempts(session: UUID, user: Rows) -> None:
    """The value that a new row has is not the column's default here: no worker has announced the actor."""
    job = user.value(USERS_INSERT.format(columns="", values=""), [session])
    for statement in (
        f"UPDATE coding_jobs SET retries_from_actor = false WHERE id = '{job}'",
        f"INSERT INTO coding_jobs (session_id, prompt, retries_from_actor) VALUES ('{session}', 'x', true)",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="may not set coding_jobs.retries_from_actor"):
            user.all(statement)


def test_a_user_cannot_set_seq_to_overtake_others(session: UUID, user: Rows) -> None:
    first = user.value(USERS_INSERT.format(columns="", values=""), [session])
    second = user.value(USERS_INSERT.format(columns=", seq", values=", -5"), [session])

    seq = {row["id"]: row["seq"] for row in user.all("SELECT id, seq FROM coding_jobs")}
    assert seq[second] > seq[first]


def test_a_users_job_gets_the_queue_that_workers_announced(session: UUID, user: Rows, empty_dsn: str) -> None:
    user.all("RESET ROLE")
    steps = Steps(empty_dsn, user)
    steps.add_worker(
        actors={
            "run_coding_session": {"queue": "sessions", "max_retries": 2},
            "send_mail": {"queue": "mail", "max_retries": 1},
        }
    )
    steps.close()
    user.all("SET ROLE authenticated")

    job = user.value(USERS_INSERT.format(columns="", values=""), [session])
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="actor_queues"):
        user.all("SELECT FROM actor_queues")
    user.all("SET ROLE service_role")
    user.all("INSERT INTO coding_jobs (session_id, prompt, actor) VALUES (%s, 'x', 'send_mail')", [session])

    user.all("RESET ROLE")
    assert (user.job(job)["queue"], user.job(job)["max_retries"]) == ("sessions", 2)
    assert user.value("SELECT queue FROM coding_jobs WHERE actor = 'send_mail'") == "mail"


def test_later_grants_open_nothing(session: UUID, user: Rows, empty_dsn: str) -> None:
    user.all("RESET ROLE")
    user.all("GRANT ALL ON ALL TABLES IN SCHEMA public TO authenticated")
    user.all("GRANT EXECUTE ON FUNCTION claim_jobs TO authenticated")
    user.all("SET ROLE authenticated")

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        user.all(USERS_INSERT.format(columns=", actor", values=", 'send_money'"), [session])

    user.all("RESET ROLE")
    user.all("ALTER TABLE coding_jobs DISABLE TRIGGER a_guard_job")
    link = Link(empty_dsn, "test")
    found = " ".join(str(row["found"]) for row in link.call("open_rights"))
    assert "authenticated may execute claim_jobs" in found
    assert (
        "authenticated may use table job_attempts, job_counts, workers, actor_queues, job_audit, session_streams"
        in found
    )
    assert "a_guard_job" in found
    migrate_sql(empty_dsn)
    assert link.call("open_rights") == []
    link.close()


def test_a_hosts_function_and_a_role_with_the_right_may_choose_the_actor(session: UUID, user: Rows) -> None:
    user.all("RESET ROLE")
    user.all("""
        CREATE FUNCTION start_build(s uuid) RETURNS void LANGUAGE sql SECURITY DEFINER
        AS $$ INSERT INTO coding_jobs (session_id, prompt, actor) VALUES (s, 'x', 'build') $$""")
    user.all("SET ROLE authenticated")

    user.all("SELECT start_build(%s)", [session])

    user.all("RESET ROLE")
    user.all("GRANT EXECUTE ON FUNCTION may_choose_actor() TO authenticated")
    user.all("SET ROLE authenticated")
    user.all(USERS_INSERT.format(columns=", actor", values=", 'build'"), [session])
    assert user.value("SELECT count(*) FROM coding_jobs WHERE actor = 'build'") == 2


def migrate_sql(dsn: str) -> None:
    """Migrate as `mobvibe migrate sql | psql` does."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for migration in migrations():
            connection.execute(migration.text.encode())


@pytest.mark.parametrize("applied", range(1, len(migrations())))
def test_an_interrupted_migration_leaves_no_rights_open(web_roles: None, empty_dsn: str, applied: int) -> None:
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        rows = Rows(connection)
        rows.all(legacy.GENEROUS_DEFAULTS + legacy.SCHEMA + legacy.session_events("data", checked=True))
        theirs = tables(rows)
        for migration in migrations()[:applied]:
            connection.execute(migration.text.encode())

        assert open_to_the_web(rows, theirs) == []


def test_only_the_owner_may_write_what_the_way_back_runs(supabase: Rows) -> None:
    supabase.all("GRANT ALL ON adopted_definitions TO service_role")
    supabase.all("SELECT mobvibe_close_rights()")

    for right in ("SELECT", "INSERT", "UPDATE", "DELETE"):
        assert not supabase.value("SELECT has_table_privilege('service_role', 'adopted_definitions', %s)", [right]), (
            right
        )


def test_in_a_new_project_web_roles_see_and_write_nothing(web_roles: None, empty_dsn: str) -> None:
    """Its default privileges grant everything on new tables: row security alone stands before the three of old."""
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        rows = Rows(connection)
        rows.all(legacy.GENEROUS_DEFAULTS)
        migrate_up(empty_dsn)
        session = rows.add_session(user_id=uuid4())
        rows.add_job(session_id=session)
        rows.all("INSERT INTO session_events (session_id, event_type) VALUES (%s, 'x')", [session])
        of_old = {"coding_jobs", "coding_sessions", "session_events"}

        assert open_to_the_web(rows, of_old) == []
        for role in ("anon", "authenticated"):
            rows.all(f"SET ROLE {role}")
            for table in sorted(of_old):
                assert rows.all(f"SELECT FROM {table}") == [], (role, table)
                assert rows.all(f"DELETE FROM {table} RETURNING 1") == [], (role, table)
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
                    rows.all(f"INSERT INTO {table} DEFAULT VALUES" if table != "session_events" else NEW_EVENT)
            rows.all("RESET ROLE")


NEW_EVENT = "INSERT INTO session_events (session_id, event_type) VALUES (gen_random_uuid(), 'x')"


def test_a_new_table_without_row_security_would_be_found(supabase: Rows) -> None:
    theirs = tables(supabase)
    supabase.all("""
        CREATE TABLE forgotten (id integer GENERATED ALWAYS AS IDENTITY);
        CREATE VIEW shown AS SELECT * FROM job_audit;
        CREATE FUNCTION forgotten_too() RETURNS void LANGUAGE sql BEGIN ATOMIC END;
    """)

    assert set(open_to_the_web(supabase, theirs)) == {
        f"{role}: {name}"
        for role in ("anon", "authenticated")
        for name in ("forgotten", "shown", "forgotten_id_seq", "forgotten_too()")
    }


def test_calls_of_the_service_role_work_whatever_default_grants_exist(web_roles: None, empty_dsn: str) -> None:
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        rows = Rows(connection)
        rows.all(legacy.SCHEMA + legacy.session_events("data", checked=True))
        migrate_up(empty_dsn)
        owner = rows.value("INSERT INTO projects (user_id) VALUES (gen_random_uuid()) RETURNING id")
        session = rows.value(
            "INSERT INTO coding_sessions (user_id, project_id, initial_prompt, expires_at)"
            " VALUES (gen_random_uuid(), %s, 'x', now()) RETURNING id",
            [owner],
        )
        rows.all("GRANT INSERT ON session_usage TO service_role")
        rows.all("SET ROLE service_role")
        for ending in ("complete_job(%s)", "fail_job(%s, 'boom')"):
            rows.all("INSERT INTO coding_jobs (session_id, prompt, max_retries) VALUES (%s, 'x', 1)", [session])
            job = rows.value("SELECT job_id FROM claim_next_job()")
            rows.all(f"SELECT {ending}", [job])
            assert rows.status(job) in ("completed", "failed")
        rows.all("RESET ROLE")


@pytest.mark.parametrize(
    "table",
    [
        "job_attempts",
        "workers",
        "job_audit",
        "session_streams",
        "queue_pauses",
        "operator_audit",
        "bulk_operations",
        "idempotency_keys",
        "session_bundles",
    ],
)
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


def test_a_user_who_may_write_events_cannot_choose_their_numbers(session: UUID, user: Rows) -> None:
    user.all("RESET ROLE")
    user.all("""
        DELETE FROM session_events;
        CREATE POLICY "write own" ON session_events FOR INSERT TO authenticated WITH CHECK (true);
        SET ROLE authenticated""")

    for seq in ("1", "999999", "NULL", "-1", "DEFAULT"):
        user.all(
            f"INSERT INTO session_events (session_id, event_type, data, seq) VALUES (%s, 'x', '{{}}', {seq})", [session]
        )

    user.all("RESET ROLE")
    numbers = user.all("SELECT seq FROM session_events ORDER BY seq")
    assert [row["seq"] for row in numbers] == [1, 2, 3, 4, 5]


def test_every_function_has_an_empty_search_path_or_names_that_are_bound_already(rows: Rows) -> None:
    open_ = rows.all(f"""
        SELECT f.name FROM ({OUR_FUNCTIONS}) f JOIN pg_proc p ON p.oid = f.name::regprocedure
        WHERE NOT coalesce(p.proconfig, '{{}}') @> ARRAY['search_path=""'] AND p.prosqlbody IS NULL""")
    as_owner = rows.all(
        f"SELECT p.proname FROM ({OUR_FUNCTIONS}) f JOIN pg_proc p ON p.oid = f.name::regprocedure WHERE p.prosecdef"
    )

    assert open_ == []
    assert {row["proname"] for row in as_owner} == {
        "count_changed_jobs",
        "count_deleted_jobs",
        "count_new_jobs",
        "completed_status",
        "count_no_jobs",
        "delete_attempts_of_jobs",
        "delete_jobs_of_sessions",
        "note_refused_session",
        "notify_new_job",
        "number_events",
        "route_new_job",
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


def test_a_role_that_enqueues_needs_rights_on_jobs_only(stranger: str, rows: Rows, steps: Steps) -> None:
    rows.all("GRANT SELECT, INSERT ON coding_jobs TO stranger")
    steps.add_worker(actors={"build_report": {"queue": "reports", "max_retries": 5}})

    with psycopg.connect(stranger) as connection:
        job = enqueue(connection, "build_report")

    assert (rows.job(job)["queue"], rows.job(job)["max_retries"]) == ("reports", 5)


def test_a_role_with_rights_on_the_documented_columns_may_set_three_attempts(
    stranger: str, rows: Rows, steps: Steps
) -> None:
    rows.all(
        "GRANT INSERT (actor, queue, payload, session_id, prompt, priority, run_at, max_retries)"
        " ON coding_jobs TO stranger; GRANT SELECT (id) ON coding_jobs TO stranger"
    )
    steps.add_worker(actors={"build_report": {"queue": "reports", "max_retries": 5}})

    with psycopg.connect(stranger) as connection:
        jobs = [enqueue(connection, "build_report", max_retries=attempts) for attempts in (3, None)]

    assert [rows.job(job)["max_retries"] for job in jobs] == [3, 5]


def test_a_user_may_set_three_attempts(session: UUID, user: Rows, empty_dsn: str) -> None:
    user.all("RESET ROLE")
    steps = Steps(empty_dsn, user)
    steps.add_worker(actors={"run_coding_session": {"queue": "sessions", "max_retries": 2}})
    steps.close()

    with psycopg.connect(empty_dsn) as connection:
        connection.execute("SET ROLE authenticated")
        job = enqueue(connection, "run_coding_session", session_id=session, prompt="x", max_retries=3)

    assert (user.job(job)["queue"], user.job(job)["max_retries"]) == ("sessions", 3)


def test_public_can_call_none_of_our_functions(rows: Rows) -> None:
    for row in rows.all(OUR_FUNCTIONS):
        granted = rows.value(
            "SELECT EXISTS (SELECT FROM pg_proc p, aclexplode(p.proacl) a"
            " WHERE p.oid = %s::regprocedure AND a.grantee = 0)",
            [row["name"]],
        )
        assert granted is False, row["name"]


def test_a_role_without_rights_is_refused_in_one_line(stranger: str, rows: Rows) -> None:
    with pytest.raises(RightsError, match=r"may not use table public.* and \d+ more\. Use the role that ran"):
        check_database(stranger)


def test_rows_hidden_by_row_security_are_an_error(stranger: str, rows: Rows) -> None:
    rows.all("""
        GRANT ALL ON ALL TABLES IN SCHEMA public TO stranger;
        GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO stranger;
        ALTER TABLE coding_jobs ENABLE ROW LEVEL SECURITY;
    """)
    with pytest.raises(RightsError, match="see the rows of public.coding_jobs"):
        check_database(stranger)


def test_the_granted_rights_are_enough(stranger: str, rows: Rows) -> None:
    rows.all("""
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO stranger;
        GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO stranger;
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
        link.call("mobvibe_schema_version")

    assert "geheim" not in str(raised.value)
