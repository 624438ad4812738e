"""Behind a pooler, sessions are shared: we leave no setting, lock or statement on them that other clients would get."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
from pydantic import SecretStr

from bridge.cli.doctor import examine, preview_migration
from bridge.errors import PostgresUnfitError
from bridge.postgres.attempts import Attempts
from bridge.postgres.connection_budget import nearest_limit
from bridge.postgres.link import Link
from bridge.postgres.migrations import migrate_up, migration_states
from bridge.postgres.pool import Pool
from bridge.postgres.startup_checks import check_database
from bridge.settings import Settings
from tests.support import legacy
from tests.support.pgbouncer import PgBouncer
from tests.support.rows import Rows
from tests.support.session_pooler import SessionPooler

_LIMITS = "SELECT current_setting('statement_timeout') AS statement, current_setting('lock_timeout') AS lock"

# Behind a pooler in transaction mode the next client would get these.
_LEFT = """
    SELECT 'left: [' || coalesce(string_agg(it, ', '), '') || ']'
    FROM (SELECT name || ' = ' || setting FROM pg_settings WHERE source = 'session'
          UNION ALL SELECT 'a lock: ' || mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'
          UNION ALL SELECT 'a channel: ' || channel FROM pg_listening_channels() channel
          UNION ALL SELECT 'prepared: ' || statement FROM pg_prepared_statements
          UNION ALL SELECT 'a table: ' || relname FROM pg_class WHERE relnamespace = pg_my_temp_schema()) AS l (it)"""


def _pump(source: socket.socket, sink: socket.socket, *, hides_the_process: bool) -> None:
    with source:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                at = data.find(b"K" + struct.pack("!i", 12)) if hides_the_process else -1
                if at >= 0:  # the id of the server's process, by which a client identifies its session
                    data = data[: at + 5] + struct.pack("!i", 7) + data[at + 9 :]
                    hides_the_process = False
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def pooled_dsn(dsn: str) -> Iterator[str]:
    """The database behind a proxy that shows clients another process id than the server's, as poolers do."""
    address = urlsplit(dsn)
    server = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = server.accept()
                there = socket.create_connection((address.hostname, address.port))
                for source, sink in ((client, there), (there, client)):
                    threading.Thread(
                        target=_pump, args=(source, sink), kwargs={"hides_the_process": source is there}, daemon=True
                    ).start()

    threading.Thread(target=accept, daemon=True).start()
    yield dsn.replace(address.netloc.rpartition("@")[2], f"127.0.0.1:{server.getsockname()[1]}")
    server.close()


def left_on(pooler: SessionPooler) -> list[bytes]:
    """What the next clients of the pooler's sessions would get."""
    assert pooler.sessions
    answers = [pooler.ask(_LEFT, session) for session in range(len(pooler.sessions))]
    return [answer for answer in answers if b"left: []" not in answer]


def test_migrating_and_its_status_leave_nothing_on_a_pooled_session(empty_dsn: str) -> None:
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        rows = Rows(connection)
        rows.all(legacy.SCHEMA + legacy.session_events("data", checked=True))
        project = rows.value("INSERT INTO projects (user_id) VALUES (gen_random_uuid()) RETURNING id")
        session = rows.add_session(user_id=project, project_id=project, initial_prompt="p", expires_at="2999-01-01")
        rows.add_job(session_id=session, prompt="p", priority=None)
    with contextlib.closing(SessionPooler(empty_dsn)) as pooler:
        assert not any(state.applied for state in migration_states(pooler.dsn))
        assert left_on(pooler) == []
        assert migrate_up(pooler.dsn)
        assert left_on(pooler) == []
        assert all(state.applied for state in migration_states(pooler.dsn))
        assert left_on(pooler) == []


def test_the_doctor_leaves_nothing_on_a_pooled_session(pooler: SessionPooler, settings: Settings) -> None:
    pooled = settings.model_copy(update={"database_url": SecretStr(pooler.dsn)})

    examine(pooled)
    preview_migration(pooled)

    assert left_on(pooler) == []


def test_a_direct_session_has_our_limits(link: Link) -> None:
    assert link.connection.execute(_LIMITS).fetchone() == {"statement": "8s", "lock": "2s"}
    assert not link.connection.is_pooled


def test_a_pooled_session_keeps_its_own_limits(pooled_dsn: str) -> None:
    link = Link(pooled_dsn, "test")
    with Attempts(link).in_haste():
        assert link.connection.execute(_LIMITS).fetchone() == {"statement": "0", "lock": "0"}
    assert link.connection.execute(_LIMITS).fetchone() == {"statement": "0", "lock": "0"}
    assert link.connection.is_pooled
    assert link.connection.prepare_threshold is None, "other clients prepare under the same names"
    assert link.connection.answer_seconds < 10
    assert nearest_limit(link) is None, "how many the pooler has for us only the pooler knows"
    link.close()


@pytest.mark.parametrize(
    ("setting", "value"), [("DateStyle", "SQL, DMY"), ("IntervalStyle", "iso_8601"), ("array_nulls", "off")]
)
def test_a_format_that_cannot_be_set_behind_a_pooler_is_named(
    dsn: str, rows: Rows, new_pgbouncer: Callable[..., PgBouncer], setting: str, value: str
) -> None:
    rows.all(f"ALTER DATABASE {dsn.rpartition('/')[2]} SET {setting} = '{value}'")
    pooled = new_pgbouncer().before(dsn)

    with pytest.raises(PostgresUnfitError, match=f"{setting} stays as .*'{value}', and must be .*: ALTER ROLE"):
        check_database(pooled, rest=lambda _: pytest.fail("waiting does not help"))
    pool = Pool(pooled, "test")
    with pytest.raises(PostgresUnfitError, match=setting):
        pool.call("ping")
    pool.close()


def test_a_pooled_session_of_the_web_process_keeps_its_own_limits(pooled_dsn: str) -> None:
    pool = Pool(pooled_dsn, "test", size=1)
    with pool.connection() as connection:
        assert connection.execute(_LIMITS).fetchone() == {"statement": "0", "lock": "0"}
    pool.close()
