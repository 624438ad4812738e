"""A link by the address for sessions, and by the usual one while that fails."""

import logging
from collections.abc import Callable, Iterator

import pytest

from bridge.errors import ReadOnlyError
from bridge.postgres import session_link
from bridge.postgres.session_link import SessionLink
from tests.support.pgbouncer import PgBouncer

NewPgBouncer = Callable[..., PgBouncer]
NewLink = Callable[..., SessionLink]


@pytest.fixture
def new_link() -> Iterator[NewLink]:
    links: list[SessionLink] = []

    def new_link(dsn: str, session_dsn: str) -> SessionLink:
        links.append(SessionLink(dsn, session_dsn, "heartbeat", statement_timeout_ms=3_000))
        return links[-1]

    yield new_link
    for link in links:
        link.close()


def test_it_goes_by_the_address_for_sessions(dsn: str, new_link: NewLink, new_pgbouncer: NewPgBouncer) -> None:
    pooled = new_pgbouncer().before(dsn)

    assert new_link(pooled, dsn).connection.dsn == dsn
    assert new_link(dsn, dsn).connection.dsn == dsn
    assert not new_link(pooled, dsn).connection.is_pooled


def test_while_that_fails_it_goes_by_the_usual_one_and_returns(
    dsn: str,
    new_link: NewLink,
    new_pgbouncer: NewPgBouncer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    pooler = new_pgbouncer("session")
    link = new_link(dsn, pooler.before(dsn))
    assert link.connection.dsn == pooler.before(dsn)

    pooler.stop()
    assert link.has_news(), "its end"
    assert [link.call("ping") for _ in range(3)] == [[{"pong": 1}]] * 3

    assert link.connection.dsn == dsn
    (warning,) = [line.getMessage() for line in caplog.records]
    assert warning.startswith("LISTEN_DATABASE_URL does not serve, heartbeats go by DATABASE_URL")
    pooler.start()
    monkeypatch.setattr(session_link, "_AVOID_SECONDS", 0.0)
    link._avoided_until = 0.1  # the time is over
    link.call("ping")
    assert link.connection.dsn == pooler.before(dsn)


def test_it_leaves_a_session_that_takes_no_writes(dsn: str, new_link: NewLink) -> None:
    link = new_link(dsn, f"{dsn}?options=-cdefault_transaction_read_only%3Don")

    with pytest.raises(ReadOnlyError):
        _write(link)

    assert link.connection.dsn == dsn
    _write(link)


def _write(link: SessionLink) -> None:
    with link.transaction() as connection:
        connection.execute("DELETE FROM workers")
