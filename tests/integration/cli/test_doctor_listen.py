"""What the doctor says of the address for LISTEN: direct, behind poolers, and wrong ones."""

import threading
from collections.abc import Callable
from contextlib import closing

import pytest

from bridge.cli import doctor_listen
from bridge.cli.doctor_listen import examine_listen
from tests.support.commands import Run
from tests.support.pgbouncer import PgBouncer
from tests.support.session_pooler import SessionPooler

NewPgBouncer = Callable[..., PgBouncer]


class ReceivesOnlyItself:
    """A listener behind a pooler that forwards no other notifications than its own."""

    error = None

    def __init__(self, dsn: str, channel: str, callback: Callable[[str], None]) -> None:
        self.subscribed = threading.Event()

    def start(self) -> None:
        self.subscribed.set()

    def close(self) -> None: ...


def found(dsn: str, session_dsn: str) -> list[tuple[str, str]]:
    return [(finding.check, finding.state) for finding in examine_listen(dsn, session_dsn)]


def test_notifications_are_sent_by_a_second_session(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(dsn, dsn) == [("listen", "ok")]

    monkeypatch.setattr(doctor_listen, "Listener", ReceivesOnlyItself)
    assert found(dsn, dsn) == [("listen", "warn")]


def test_a_pooler_without_notifications_is_named(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_listen, "_SUBSCRIBED_SECONDS", 0.5)
    with closing(SessionPooler(dsn)) as pooler:
        pooler.drops_notifications = True

        assert found(dsn, pooler.dsn) == [("sessions", "ok"), ("listen", "warn")]


def test_a_pooler_in_transaction_mode_is_named_with_what_is_lost(
    dsn: str, run: Run, new_pgbouncer: NewPgBouncer
) -> None:
    pooled = new_pgbouncer().before(dsn)

    (finding,) = examine_listen(pooled, pooled)
    result = run("doctor", DATABASE_URL=pooled, LISTEN_DATABASE_URL="")

    assert (finding.state, finding.fix) == (
        "warn", "set LISTEN_DATABASE_URL to a direct address or a pooler in session mode"
    )  # fmt: skip
    for text in ("DATABASE_URL is a pooler in transaction mode", "POLL_INTERVAL_MS", "LEASE_MS"):
        assert text in finding.found
    assert finding.found in result.out
    assert "geheim" not in result.out


def test_sessions_of_their_own_address_are_checked_there(dsn: str, new_pgbouncer: NewPgBouncer) -> None:
    pooled, session = new_pgbouncer().before(dsn), new_pgbouncer("session").before(dsn)

    assert found(pooled, session) == found(pooled, dsn) == [("sessions", "ok"), ("listen", "ok")]
    assert found(pooled, new_pgbouncer("transaction", reserve_pool_size=1).before(dsn)) == [("listen", "warn")]


def test_a_wrong_address_is_named(dsn: str, empty_dsn: str) -> None:
    (finding,) = examine_listen(dsn, empty_dsn)

    assert (finding.state, finding.fix) == ("fail", "correct LISTEN_DATABASE_URL")
    assert "another database" in finding.found
