"""Sessions behind a real PgBouncer: shared in transaction mode, kept in session mode, found out by asking."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import timedelta

import pytest

from bridge.postgres.attempts import Attempts
from bridge.postgres.connect import connect
from bridge.postgres.link import Link
from bridge.postgres.pooling import keeps_session, session_pid
from tests.support.pgbouncer import PgBouncer
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.waiting import eventually

NewPgBouncer = Callable[..., PgBouncer]


def keeps(dsn: str) -> bool | None:
    with closing(connect(dsn, "test")) as connection:
        return keeps_session(connection)


def test_a_direct_connection_keeps_its_session(dsn: str) -> None:
    with closing(connect(dsn, "test")) as connection:
        assert keeps_session(connection) is True
        assert session_pid(connection) == connection.info.backend_pid


@pytest.mark.parametrize("settings", [{}, {"default_pool_size": 1}, {"server_round_robin": 1, "min_pool_size": 5}])
def test_a_pooler_in_transaction_mode_is_found_out(
    dsn: str, new_pgbouncer: NewPgBouncer, settings: dict[str, int]
) -> None:
    pooler = new_pgbouncer("transaction", **settings)

    assert keeps(pooler.before(dsn)) is False
    with closing(connect(pooler.before(dsn), "test")) as connection:
        assert session_pid(connection) is None


@pytest.fixture
def traffic() -> Iterator[Callable[[str], None]]:
    """Other clients, which take and give back sessions all the time."""
    over = threading.Event()
    with ExitStack() as stack:
        stack.callback(over.set)

        def begin(dsn: str) -> None:
            connection = stack.enter_context(closing(connect(dsn, "other")))

            def work() -> None:
                while not over.is_set():
                    connection.execute("SELECT pg_sleep(random() * 0.002)")

            thread = threading.Thread(target=work)
            stack.callback(thread.join)
            stack.callback(over.set)
            thread.start()

        yield begin


def test_it_is_found_out_among_other_clients(
    dsn: str, new_pgbouncer: NewPgBouncer, traffic: Callable[[str], None]
) -> None:
    pooled = new_pgbouncer("transaction", default_pool_size=3).before(dsn)
    for _ in range(4):
        traffic(pooled)

    assert [keeps(pooled) for _ in range(20)] == [False] * 20


def test_a_pooler_in_session_mode_keeps_sessions(dsn: str, new_pgbouncer: NewPgBouncer) -> None:
    pooled = new_pgbouncer("session").before(dsn)

    assert keeps(pooled) is True
    with closing(connect(pooled, "test")) as connection:
        row = connection.execute("SELECT pg_backend_pid() AS pid").fetchone()
        assert row == {"pid": session_pid(connection)}


def test_a_pool_without_a_second_session_leaves_it_unknown(dsn: str, new_pgbouncer: NewPgBouncer) -> None:
    assert keeps(new_pgbouncer("session", default_pool_size=1).before(dsn)) is None


@pytest.mark.parametrize(("mode", "is_held"), [("session", True), ("transaction", False)])
def test_a_workers_lock_is_held_in_session_mode_until_its_client_has_gone(
    dsn: str, rows: Rows, steps: Steps, new_pgbouncer: NewPgBouncer, mode: str, is_held: bool
) -> None:
    pooled = new_pgbouncer(mode).before(dsn)
    worker = steps.add_worker()
    attempts = Attempts(Link(pooled, "heartbeat"))

    assert attempts.hold_link(worker) is is_held
    assert steps.queue.watch_workers(confirm=timedelta(0)).without == 0
    attempts.close()

    assert rows.value("SELECT linked FROM workers") is is_held
    if is_held:
        eventually(lambda: steps.queue.watch_workers(confirm=timedelta(hours=1)).without == 1, what="a free lock")
    assert rows.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
