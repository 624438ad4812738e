"""An outage of a store is logged once per process; any other error once by each reporter that meets it."""

import logging

import pytest

from bridge.errors import BridgeError, PostgresBusyError, PostgresUnavailableError, RedisUnavailableError
from bridge.runtime.outages import ErrorReporter

GONE = PostgresUnavailableError("connection refused")


def new_reporter(name: str) -> ErrorReporter:
    return ErrorReporter(name, lambda error: f"{name} met: {error}", f"{name} works again")


def fail(reporter: ErrorReporter, error: BridgeError = GONE) -> None:
    for _ in range(3):
        reporter.failed(error)


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]


def test_an_outage_is_logged_by_the_first_reporter_that_meets_it_and_its_end_by_the_last(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    first, second = new_reporter("claims"), new_reporter("recovery")
    for reporter in (first, second, first):
        fail(reporter)
    first.succeeded()
    assert logged(caplog) == ["Postgres is unreachable, trying again until it is over"]

    second.succeeded()
    second.succeeded()

    assert logged(caplog)[1:] == ["Postgres is back"]
    assert len(caplog.records) == 4, "the others are there for those who debug"


def test_each_store_has_outages_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    reporter = new_reporter("claims")
    fail(reporter)
    fail(reporter, RedisUnavailableError("refused"))
    reporter.succeeded()

    assert sorted(logged(caplog)) == [
        "Postgres is back",
        "Postgres is unreachable, trying again until it is over",
        "Redis is back",
        "Redis is unreachable, trying again until it is over",
    ]


def test_an_error_that_is_not_an_outage_is_logged_by_each_reporter(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    first, second = new_reporter("claims"), new_reporter("recovery")
    first.failed(PostgresBusyError("a lock"))
    first.failed(PostgresBusyError("a lock"))
    second.failed(BridgeError("a bug"))
    first.succeeded()

    assert logged(caplog) == ["claims met: a lock", "recovery met: a bug", "claims works again"]


def test_a_closed_reporter_does_not_keep_an_outage_open(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ended, other = new_reporter("claims"), new_reporter("recovery")
    fail(ended)
    fail(other)
    ended.close()
    other.succeeded()

    assert logged(caplog) == ["Postgres is unreachable, trying again until it is over", "Postgres is back"]


def test_a_link_that_broke_and_was_reopened_is_not_an_outage(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    reporter = new_reporter("claims")
    for _ in range(3):
        reporter.failed(GONE)
        reporter.succeeded()

    assert caplog.records == []
