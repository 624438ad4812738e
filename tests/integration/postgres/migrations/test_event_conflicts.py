"""Objects of the host that would prevent the numbering of events are reported before the move, with a remedy."""

from collections.abc import Iterator
from typing import cast
from uuid import UUID, uuid4

import psycopg
import pytest

from bridge.postgres.connect import connect
from bridge.postgres.connection import Connection
from bridge.postgres.migrations import Conflict, MigrationError, find_conflicts, migrate_up
from tests.support import legacy
from tests.support.rows import Rows

INSERT = "INSERT INTO session_events (session_id, event_type, data) VALUES (%s, 'x', '{}')"
FUNCTIONS = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'events are immutable'; END $$;
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'noted'; RETURN NULL; END $$;"""
NO_KEY = """
    ALTER TABLE session_events DROP CONSTRAINT session_events_pkey;
    CREATE UNIQUE INDEX event_ids ON session_events (id);
    ALTER TABLE session_events ALTER COLUMN id SET NOT NULL;"""
PUBLISHED = "CREATE PUBLICATION realtime FOR TABLE session_events;"


@pytest.fixture
def old(empty_dsn: str) -> Iterator[Rows]:
    with connect(empty_dsn, "test") as connection:
        rows = Rows(connection)
        rows.all(legacy.SCHEMA + legacy.session_events("data", checked=False) + FUNCTIONS)
        yield rows


def conflicts(old: Rows) -> list[Conflict]:
    return find_conflicts(cast("Connection", old.connection))


@pytest.fixture
def session(old: Rows) -> UUID:
    project = old.value("INSERT INTO projects (user_id) VALUES (gen_random_uuid()) RETURNING id")
    return old.add_session(user_id=uuid4(), project_id=project, initial_prompt="p", expires_at="2999-01-01")


@pytest.mark.parametrize(
    ("host", "expected", "update_works"),
    [
        (
            "CREATE TRIGGER immutable BEFORE UPDATE ON session_events FOR EACH ROW EXECUTE FUNCTION refuse()",
            "trigger immutable on session_events may refuse", False,
        ),
        (
            ('CREATE TRIGGER "For ever" BEFORE INSERT OR DELETE OR UPDATE ON session_events FOR EACH STATEMENT'
            " WHEN (current_setting('host.frozen', true) = 'on') EXECUTE FUNCTION refuse(); SET host.frozen = 'off'"),
            'trigger "For ever" on session_events may refuse', True,
        ),
        (
            "CREATE TRIGGER immutable AFTER DELETE OR UPDATE ON session_events FOR EACH ROW EXECUTE FUNCTION refuse()",
            "trigger immutable on session_events may refuse", False,
        ),
        (
            ("CREATE CONSTRAINT TRIGGER immutable AFTER UPDATE ON session_events DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION refuse()"),
            "trigger immutable on session_events may refuse", False,
        ),
        (
            "CREATE RULE no_update AS ON UPDATE TO session_events DO INSTEAD NOTHING",
            "rule no_update on session_events replaces the UPDATE", True,
        ),
        (NO_KEY + PUBLISHED, "in publication realtime and has no replica identity", True),
        (
            NO_KEY + "ALTER TABLE session_events REPLICA IDENTITY NOTHING; CREATE PUBLICATION realtime FOR ALL TABLES",
            "in publication realtime and has no replica identity", True,
        ),
        (
            PUBLISHED + "ALTER TABLE session_events REPLICA IDENTITY NOTHING",
            "in publication realtime and has no replica identity", True,
        ),
        (
            "CREATE PUBLICATION realtime FOR TABLE session_events WHERE (event_type <> 'thinking')",
            "publication realtime has session_events with a row filter", True,
        ),
        (
            "CREATE PUBLICATION realtime FOR TABLE session_events (session_id, event_type)",
            "publication realtime has session_events with a list of columns", True,
        ),
    ],
)  # fmt: skip
def test_conflicts_with_numbering_are_reported_with_a_statement_that_helps(
    empty_dsn: str, old: Rows, session: UUID, host: str, expected: str, update_works: bool
) -> None:
    old.all(host)
    with pytest.raises(MigrationError, match="Nothing was changed") as caught:
        migrate_up(empty_dsn)
    [conflict] = conflicts(old)
    assert expected in conflict.what
    assert expected in str(caught.value)

    old.all(conflict.fix.split("; to refuse")[0])
    migrate_up(empty_dsn)

    old.all(INSERT, [session])
    assert old.value("SELECT seq FROM session_events") == 1
    assert conflicts(old) == []
    if not update_works:
        with pytest.raises(psycopg.errors.RaiseException, match="immutable"):
            old.all("UPDATE session_events SET data = '[]'")


@pytest.mark.parametrize(
    "host",
    [
        "CREATE TRIGGER audit AFTER UPDATE ON session_events FOR EACH ROW EXECUTE FUNCTION note()",
        "CREATE TRIGGER immutable BEFORE UPDATE OF data ON session_events FOR EACH ROW EXECUTE FUNCTION refuse()",
        "CREATE TRIGGER immutable BEFORE DELETE ON session_events FOR EACH ROW EXECUTE FUNCTION refuse()",
        "CREATE RULE audit AS ON UPDATE TO session_events DO ALSO NOTIFY audit",
        PUBLISHED,
        "CREATE PUBLICATION realtime FOR TABLE session_events (id, event_type)",
        "CREATE PUBLICATION realtime FOR ALL TABLES",
        NO_KEY + "CREATE PUBLICATION realtime FOR TABLE session_events WITH (publish = 'insert')",
        NO_KEY + PUBLISHED + "ALTER TABLE session_events REPLICA IDENTITY USING INDEX event_ids",
        NO_KEY + PUBLISHED + "ALTER TABLE session_events REPLICA IDENTITY FULL",
    ],
)
def test_what_does_not_conflict_with_numbering_is_not_reported(
    empty_dsn: str, old: Rows, session: UUID, host: str
) -> None:
    old.all(host)

    migrate_up(empty_dsn)

    old.all(INSERT, [session])
    assert old.value("SELECT seq FROM session_events") == 1


def test_an_owner_to_whom_row_security_applies_is_reported(empty_dsn: str, old: Rows, session: UUID) -> None:
    owner = f"owner_{uuid4().hex[:8]}"
    old.all(f"CREATE ROLE {owner}; GRANT ALL ON SCHEMA public TO {owner}")
    try:
        for table in ("session_events", "coding_jobs", "coding_sessions"):
            old.all(f"ALTER TABLE {table} OWNER TO {owner}")
        old.all("ALTER TABLE session_events FORCE ROW LEVEL SECURITY")
        old.all(f"SET ROLE {owner}")
        found = [one for one in conflicts(old) if "row level security" in one.what]
        old.all("RESET ROLE")
        old.all(found[0].fix.split("; or")[0])
        old.all(f"SET ROLE {owner}")

        assert f"applies to role {owner}" in found[0].what
        assert not [one for one in conflicts(old) if "row level security" in one.what]
    finally:
        old.all(f"RESET ROLE; REASSIGN OWNED BY {owner} TO CURRENT_USER; DROP OWNED BY {owner}; DROP ROLE {owner}")


def test_after_a_later_conflict_no_event_is_inserted_without_a_number(empty_dsn: str, old: Rows, session: UUID) -> None:
    migrate_up(empty_dsn)
    owner = f"owner_{uuid4().hex[:8]}"
    old.all("CREATE RULE no_update AS ON UPDATE TO session_events DO INSTEAD NOTHING")
    with pytest.raises(psycopg.errors.RaiseException, match="keeps the number of an event from being written"):
        old.all(INSERT, [session])
    old.all(f"DROP RULE no_update ON session_events; CREATE ROLE {owner}; GRANT CREATE ON SCHEMA public TO {owner}")
    try:
        for thing in ("TABLE session_events", "TABLE session_streams", "FUNCTION number_events"):
            old.all(f"ALTER {thing} OWNER TO {owner}")
        old.all("ALTER TABLE session_events FORCE ROW LEVEL SECURITY")

        with pytest.raises(psycopg.errors.RaiseException, match=f"Role {owner} cannot number events"):
            old.all(INSERT, [session])
    finally:
        old.all(f"REASSIGN OWNED BY {owner} TO CURRENT_USER; DROP OWNED BY {owner}; DROP ROLE {owner}")
    assert old.value("SELECT count(*) FROM session_events") == 0


def test_a_trigger_that_refuses_nothing_does_not_prevent_the_move(empty_dsn: str, old: Rows, session: UUID) -> None:
    old.all(
        "ALTER TABLE session_events ADD COLUMN updated_at timestamptz;"
        "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.updated_at = now(); RETURN NEW; END $$;"
        "CREATE TRIGGER stamp BEFORE UPDATE ON session_events FOR EACH ROW EXECUTE FUNCTION stamp()"
    )

    migrate_up(empty_dsn)

    old.all(INSERT, [session])
    assert old.value("SELECT seq FROM session_events") == 1
