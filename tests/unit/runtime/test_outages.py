"""Trouble with a store is told once: an outage by process, anything else by whom it concerns."""

import logging

import pytest

from bridge.errors import BridgeError, PostgresBusyError, PostgresUnavailableError, RedisUnavailableError
from bridge.runtime.outages import Trouble

GONE = PostgresUnavailableError("connection refused")


def new_trouble(name: str) -> Trouble:
    return Trouble(name, lambda error: f"{name} met: {error}", f"{name} works again")


def meet(trouble: Trouble, error: BridgeError = GONE) -> None:
    for _ in range(3):
        trouble.met(error)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]


def test_an_outage_is_told_by_the_first_that_meets_it_and_its_end_by_the_last(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    first, second = new_trouble("claims"), new_trouble("recovery")
    for trouble in (first, second, first):
        meet(trouble)
    first.over()
    assert told(caplog) == ["Postgres is unreachable, trying again until it is over"]

    second.over()
    second.over()

    assert told(caplog)[1:] == ["Postgres is back"]
    assert len(caplog.records) == 4, "the others are there for those who debug"


def test_each_store_has_outages_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    trouble = new_trouble("claims")
    meet(trouble)
    meet(trouble, RedisUnavailableError("refused"))
    trouble.over()

    assert sorted(told(caplog)) == [
        "Postgres is back",
        "Postgres is unreachable, trying again until it is over",
        "Redis is back",
        "Redis is unreachable, trying again until it is over",
    ]


def test_what_one_meets_alone_is_its_own(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    first, second = new_trouble("claims"), new_trouble("recovery")
    first.met(PostgresBusyError("a lock"))
    first.met(PostgresBusyError("a lock"))
    second.met(BridgeError("a bug"))
    first.over()

    assert told(caplog) == ["claims met: a lock", "recovery met: a bug", "claims works again"]


def test_who_has_ended_does_not_keep_an_outage_going(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ended, other = new_trouble("claims"), new_trouble("recovery")
    meet(ended)
    meet(other)
    ended.forget()
    other.over()

    assert told(caplog) == ["Postgres is unreachable, trying again until it is over", "Postgres is back"]


def test_a_link_that_broke_and_was_made_anew_is_no_outage(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    trouble = new_trouble("claims")
    for _ in range(3):
        trouble.met(GONE)
        trouble.over()

    assert caplog.records == []
