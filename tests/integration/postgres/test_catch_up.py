"""A client of Supabase Realtime catches up by number: what it missed, in order, and only of its own sessions."""

import re
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from bridge.postgres.migrations import migrate_up
from tests.support import legacy
from tests.support.rows import Rows

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "supabase-realtime.md"
USER, OTHER = UUID(int=1), UUID(int=2)
# As in Supabase: the user whose token a request carries.
AUTH = """
    CREATE SCHEMA auth;
    GRANT USAGE ON SCHEMA auth TO PUBLIC;
    CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT current_setting('test.uid')::uuid $$;
    CREATE PUBLICATION supabase_realtime;
"""


@pytest.fixture
def supabase(web_roles: None, empty_dsn: str) -> Iterator[Rows]:
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        rows = Rows(connection)
        rows.all(legacy.GENEROUS_DEFAULTS + legacy.SCHEMA + legacy.session_events("event_data", checked=False) + AUTH)
        migrate_up(empty_dsn)
        rows.all('DROP POLICY "read own events" ON session_events')  # the documented one is what is tried
        yield rows


def documented() -> str:
    (sql,) = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return str(sql)


def seen(rows: Rows, session_id: UUID, after: int, user: UUID, limit: int | None = None) -> list[int]:
    more = "" if limit is None else f", {limit}"
    rows.all(f"SET ROLE authenticated; SET test.uid = '{user}'")
    found = rows.all(f"SELECT seq FROM session_events_after(%s, %s{more})", [session_id, after])
    rows.all("RESET ROLE")
    return [row["seq"] for row in found]


def new_session(rows: Rows) -> UUID:
    project = rows.value("INSERT INTO projects (user_id) VALUES (%s) RETURNING id", [USER])
    return rows.add_session(user_id=USER, project_id=project, initial_prompt="x", expires_at="2099-01-01")


def add_events(rows: Rows, session_id: UUID, count: int) -> None:
    one = "INSERT INTO session_events (session_id, event_type, event_data) SELECT %s, 'text', '{}'"
    rows.all(f"{one} FROM generate_series(1, %s)", [session_id, count])


def test_the_owner_reads_on_behind_a_number(supabase: Rows) -> None:
    supabase.all(documented())
    session_id, another = (new_session(supabase) for _ in range(2))
    add_events(supabase, session_id, 5)
    add_events(supabase, another, 3)

    assert seen(supabase, session_id, 2, USER) == [3, 4, 5]
    assert seen(supabase, session_id, 0, USER, limit=2) == [1, 2]
    assert seen(supabase, session_id, -9, USER) == [1, 2, 3, 4, 5]
    assert seen(supabase, session_id, 5, USER) == []
    assert seen(supabase, session_id, 0, OTHER) == []


def test_one_answer_is_bounded(supabase: Rows) -> None:
    supabase.all(documented())
    session_id = new_session(supabase)
    add_events(supabase, session_id, 1001)

    assert len(seen(supabase, session_id, 0, USER, limit=5000)) == 1000
    assert seen(supabase, session_id, 1000, USER) == [1001]


def test_nobody_reads_before_the_owner_of_the_tables_has_said_so(supabase: Rows) -> None:
    session_id = new_session(supabase)

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        seen(supabase, session_id, 0, USER)


def test_what_is_documented_publishes_the_events_and_not_the_conversation(supabase: Rows) -> None:
    supabase.all(documented())

    published = supabase.all("SELECT tablename FROM pg_publication_tables ORDER BY tablename")
    assert [row["tablename"] for row in published] == ["coding_jobs", "coding_sessions", "session_events"]
    for table in ("session_turns", "session_messages", "session_calls", "session_inbox", "session_requests"):
        supabase.all("SET ROLE authenticated")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            supabase.all(f"SELECT * FROM {table}")
        supabase.all("RESET ROLE")
