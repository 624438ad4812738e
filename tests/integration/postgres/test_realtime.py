"""Who gets which rows from Supabase Realtime: each published row is looked at as Realtime does it.

For every change and subscriber, its server sets the role and the claims of the subscriber's token, and asks whether the
row with this primary key can be read; columns without the right to read them are left out.

Rows of docs/reference/security.md: S8.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from bridge.postgres.migrations import migrate_up
from tests.support import legacy
from tests.support.rows import Rows

HOW_TO = Path(__file__).parents[3] / "docs" / "how-to" / "supabase-realtime.md"
TABLES = ("coding_sessions", "coding_jobs", "session_events")
PROJECT = """
CREATE SCHEMA auth;
GRANT USAGE ON SCHEMA auth TO anon, authenticated, service_role;
CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''),
                    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid $$;
CREATE PUBLICATION supabase_realtime;
"""
# A project that was there before, with policies as Supabase's templates write them.
THEIR_POLICIES = """
DROP POLICY "read own events" ON session_events;
CREATE POLICY "own sessions" ON coding_sessions FOR SELECT USING (auth.uid() = user_id);
CREATE POLICY "own jobs" ON coding_jobs FOR SELECT
    USING (session_id IN (SELECT id FROM coding_sessions WHERE user_id = auth.uid()));
CREATE POLICY "own events" ON session_events FOR SELECT
    USING (session_id IN (SELECT id FROM coding_sessions WHERE user_id = auth.uid()));
ALTER PUBLICATION supabase_realtime ADD TABLE coding_sessions, coding_jobs, session_events;
"""
OWNER, OTHER = uuid4(), uuid4()


def how_to() -> str:
    (found,) = re.findall(r"^```sql\n(.*?)^```$", HOW_TO.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return str(found)


def migrated(dsn: str, kind: str) -> Iterator[Rows]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        rows = Rows(connection)
        rows.all(PROJECT)
        if kind != "new":
            rows.all(legacy.GENEROUS_DEFAULTS)
        if kind == "adopted":
            rows.all(legacy.SCHEMA + legacy.session_events("data", checked=True) + THEIR_POLICIES)
        migrate_up(dsn)
        if kind != "adopted":
            rows.all(how_to())
        yield rows


NEW = ("new", "new, with defaults that grant all")


@pytest.fixture(params=[*NEW, "adopted"])
def project(request: pytest.FixtureRequest, web_roles: None, empty_dsn: str) -> Iterator[Rows]:
    yield from migrated(empty_dsn, request.param)


@pytest.fixture(params=NEW)
def new_project(request: pytest.FixtureRequest, web_roles: None, empty_dsn: str) -> Iterator[Rows]:
    yield from migrated(empty_dsn, request.param)


def session_of(rows: Rows, user: UUID) -> UUID:
    """A session with a job and an event."""
    columns: dict[str, object] = {"initial_prompt": "p", "expires_at": "2999-01-01"}
    if rows.value("SELECT to_regclass('projects')") is not None:
        columns["project_id"] = rows.value("INSERT INTO projects (user_id) VALUES (%s) RETURNING id", [user])
    session = rows.add_session(user_id=user, **columns)
    rows.add_job(session_id=session, prompt="p", payload={"secret": 1})
    rows.all("INSERT INTO session_events (session_id, event_type, data) VALUES (%s, 'thinking', '{}')", [session])
    return session


def as_subscriber(rows: Rows, role: str, claims: dict[str, str], query: str, params: list[object]) -> int:
    with rows.connection.transaction():
        rows.all(
            "SELECT set_config('role', %s, true), set_config('request.jwt.claims', %s, true)",
            [role, json.dumps(claims)],
        )
        return int(rows.value(query, params))


def sent(rows: Rows, role: str, user: UUID | None = None) -> dict[str, set[UUID]]:
    """Table → the ids of the published rows that a subscriber gets."""
    claims = {"role": role} | ({} if user is None else {"sub": str(user)})
    published = {row["tablename"] for row in rows.all("SELECT * FROM pg_publication_tables")}
    assert published == set(TABLES)
    found: dict[str, set[UUID]] = {}
    for table in TABLES:
        ids = [row["id"] for row in rows.all(f"SELECT id FROM {table}")]
        may_read = rows.value("SELECT has_column_privilege(%s, %s, 'id', 'SELECT')", [role, table])
        visible = f"SELECT count(id) FROM {table} WHERE id = %s"
        found[table] = {one for one in ids if may_read and as_subscriber(rows, role, claims, visible, [one]) == 1}
    return found


NOTHING: dict[str, set[UUID]] = {table: set() for table in TABLES}


def test_a_user_gets_the_rows_of_their_own_sessions_and_nobody_else_does(project: Rows) -> None:
    session = session_of(project, OWNER)
    theirs = {table: {row["id"] for row in project.all(f"SELECT id FROM {table}")} for table in TABLES}
    session_of(project, uuid4())

    assert sent(project, "authenticated", OWNER) == theirs
    assert theirs["coding_sessions"] == {session}
    for role, user in (("authenticated", OTHER), ("authenticated", None), ("anon", None)):
        assert sent(project, role, user) == NOTHING, (role, user)


def test_rows_of_nobody_reach_nobody(new_project: Rows) -> None:
    session = new_project.add_session()
    new_project.add_job(session_id=session)
    new_project.add_job()

    for role, user in (("authenticated", OWNER), ("authenticated", None), ("anon", None)):
        assert sent(new_project, role, user) == NOTHING, (role, user)


def test_a_user_sees_the_original_columns_of_a_job_only(new_project: Rows) -> None:
    found = new_project.all("""
        SELECT attname FROM pg_attribute
        WHERE attrelid = 'coding_jobs'::regclass AND attnum > 0 AND NOT attisdropped
          AND has_column_privilege('authenticated', attrelid, attnum, 'SELECT')""")
    seen = {row["attname"] for row in found}

    assert seen == {
        "id", "session_id", "prompt", "status", "priority", "retry_count", "max_retries", "error_message", "started_at",
        "completed_at", "created_at", "updated_at",
    }  # fmt: skip


def test_a_user_changes_none_of_the_rows_that_they_see(project: Rows) -> None:
    session_of(project, OWNER)
    claims = {"sub": str(OWNER), "role": "authenticated"}
    for table in TABLES:
        for change in (f"UPDATE {table} SET created_at = now() RETURNING 1", f"DELETE FROM {table} RETURNING 1"):
            try:
                changed = as_subscriber(
                    project, "authenticated", claims, f"WITH c AS ({change}) SELECT count(*) FROM c", []
                )
            except psycopg.errors.InsufficientPrivilege:
                continue
            assert changed == 0, change


def test_what_was_missed_is_asked_for_as_the_user(project: Rows) -> None:
    session = session_of(project, OWNER)
    project.all("GRANT EXECUTE ON FUNCTION session_events_after TO authenticated")
    query = "SELECT count(*) FROM session_events_after(%s, 0)"

    assert as_subscriber(project, "authenticated", {"sub": str(OWNER)}, query, [session]) == 1
    assert as_subscriber(project, "authenticated", {"sub": str(OTHER)}, query, [session]) == 0
