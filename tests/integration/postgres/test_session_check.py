"""What a process says at its start of the address for sessions."""

import logging
from collections.abc import Callable

import pytest

from bridge.errors import SettingsError
from bridge.postgres.session_check import check_session_address
from tests.support.pgbouncer import PgBouncer

NewPgBouncer = Callable[..., PgBouncer]


def warnings(caplog: pytest.LogCaptureFixture, dsn: str, session_dsn: str) -> list[str]:
    caplog.clear()
    caplog.set_level(logging.WARNING)
    check_session_address(dsn, session_dsn)
    return [line.getMessage() for line in caplog.records]


def test_sessions_that_are_kept_need_no_word(
    dsn: str, new_pgbouncer: NewPgBouncer, caplog: pytest.LogCaptureFixture
) -> None:
    pooled, session = new_pgbouncer().before(dsn), new_pgbouncer("session").before(dsn)

    for address in (dsn, session):
        assert warnings(caplog, address, address) == []
        assert warnings(caplog, pooled, address) == []


def test_what_is_lost_is_said_in_one_line(
    dsn: str, new_pgbouncer: NewPgBouncer, caplog: pytest.LogCaptureFixture
) -> None:
    pooled = new_pgbouncer().before(dsn)

    (line,) = warnings(caplog, pooled, pooled)
    (other,) = warnings(caplog, dsn, pooled)

    assert line.startswith("DATABASE_URL is a pooler in transaction mode: new jobs wait for the poll")
    assert line.endswith("set LISTEN_DATABASE_URL to a direct address or a pooler in session mode")
    assert other.startswith("LISTEN_DATABASE_URL is a pooler in transaction mode")


def test_an_address_where_nobody_answers_is_named(dsn: str, caplog: pytest.LogCaptureFixture) -> None:
    (line,) = warnings(caplog, dsn, "postgresql://u:geheim@127.0.0.1:9/d")

    assert line.startswith("LISTEN_DATABASE_URL is unreachable at 127.0.0.1:9 (")
    assert "new jobs wait for the poll" in line
    assert "geheim" not in line


def test_an_option_that_postgres_does_not_know_is_named_with_its_variable(dsn: str) -> None:
    with pytest.raises(SettingsError, match="^LISTEN_DATABASE_URL has the option 'pgbouncer'"):
        check_session_address(dsn, f"{dsn}?pgbouncer=true")


def test_another_database_is_refused(dsn: str, empty_dsn: str) -> None:
    with pytest.raises(SettingsError, match="LISTEN_DATABASE_URL is another database than DATABASE_URL"):
        check_session_address(dsn, empty_dsn)


def test_a_database_that_takes_no_writes_is_refused(dsn: str) -> None:
    with pytest.raises(SettingsError, match=r"LISTEN_DATABASE_URL takes no writes \(default_transaction_read_only"):
        check_session_address(dsn, f"{dsn}?options=-cdefault_transaction_read_only%3Don")


def test_a_pooler_in_statement_mode_is_refused(dsn: str, new_pgbouncer: NewPgBouncer) -> None:
    pooled = new_pgbouncer("statement").before(dsn)

    with pytest.raises(SettingsError, match="a pooler in statement mode, which has no transactions"):
        check_session_address(pooled, pooled)
