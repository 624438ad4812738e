"""LISTEN on several channels; and behind a pooler, where nothing is left on the pooler's session."""

from collections.abc import Callable

import pytest

from bridge.postgres import listener
from bridge.postgres.listener import Listener
from tests.support.pgbouncer import PgBouncer
from tests.support.rows import Rows
from tests.support.session_pooler import SessionPooler
from tests.support.waiting import eventually


@pytest.mark.parametrize("drops_notifications", [False, True])
def test_no_listen_is_left_on_a_pooled_session(
    pooler: SessionPooler, monkeypatch: pytest.MonkeyPatch, drops_notifications: bool
) -> None:
    monkeypatch.setattr(listener, "_ECHO_SECONDS", 0.5)
    pooler.drops_notifications = drops_notifications
    one = Listener(pooler.dsn, "new_job", lambda _: None)
    one.start()
    if drops_notifications:
        eventually(lambda: b"mobvibe_echo" in pooler.received, what="the probe")
    else:
        assert one.subscribed.wait(10)
        assert b"new_job" in pooler.ask("SELECT pg_listening_channels()", session=0)

    one.close()

    assert one.subscribed.is_set() is not drops_notifications
    for session in range(len(pooler.sessions)):
        channels = pooler.ask("SELECT pg_listening_channels()", session)
        assert b"new_job" not in channels
        assert b"mobvibe_echo" not in channels


def test_nothing_listens_behind_a_pooler_in_transaction_mode(
    dsn: str, rows: Rows, new_pgbouncer: Callable[..., PgBouncer]
) -> None:
    one = Listener(new_pgbouncer().before(dsn), "new_job", lambda _: None)
    one.start()
    error = eventually(lambda: one.error, what="the reason")
    one.close()

    assert "LISTEN_DATABASE_URL" in str(error)
    assert not one.subscribed.is_set()
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE '%listen%'"
    assert rows.value(query + " AND pid <> pg_backend_pid()") == 0


def test_each_channel_has_its_callback_which_is_also_called_at_the_start(dsn: str, rows: Rows) -> None:
    heard: list[tuple[str, str]] = []
    one = Listener(
        dsn,
        "new_job",
        lambda text: heard.append(("new_job", text)),
        {"other": lambda text: heard.append(("other", text))},
    )
    one.start()
    try:
        assert one.subscribed.wait(10)
        eventually(lambda: len(heard) == 2, what="the first calls")
        rows.all("NOTIFY other, 'a'; NOTIFY new_job, 'b'; NOTIFY third, 'c'")
        eventually(lambda: len(heard) == 4, what="the notifications")
    finally:
        one.close()

    assert heard == [("new_job", ""), ("other", ""), ("other", "a"), ("new_job", "b")]
