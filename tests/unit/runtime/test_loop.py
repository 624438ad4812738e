"""A loop runs steps, rests between them, can be woken, and survives exceptions of its steps."""

import logging
import threading
from collections.abc import Callable

import pytest

from bridge.errors import PostgresBusyError, PostgresUnavailableError, UnfitSessionError
from bridge.runtime import watchdog
from bridge.runtime.loop import Loop
from bridge.runtime.watchdog import WATCHDOG
from tests.support.waiting import eventually

AN_HOUR = 3600.0


@pytest.fixture
def steps() -> list[float]:
    return []


def counting(steps: list[float], rest: float) -> Callable[[], float]:
    def step() -> float:
        steps.append(rest)
        return rest

    return step


def test_a_loop_steps_until_it_is_stopped(steps: list[float]) -> None:
    loop = Loop("test", counting(steps, 0.0))
    loop.start()
    eventually(lambda: len(steps) > 10)

    loop.stop()

    assert loop.join(5)


def test_a_wake_cuts_the_rest_short(steps: list[float]) -> None:
    loop = Loop("test", counting(steps, AN_HOUR))
    loop.start()
    for count in range(1, 4):
        eventually(lambda: len(steps) == count)  # noqa: B023 -- called at once
        loop.wake()
    loop.stop()
    assert loop.join(5)


def test_a_wake_during_a_step_is_not_lost() -> None:
    inside, go_on, steps = threading.Event(), threading.Event(), []

    def step() -> float:
        steps.append(1)
        inside.set()
        go_on.wait(5)
        return AN_HOUR

    loop = Loop("test", step)
    loop.start()
    assert inside.wait(5)
    loop.wake()
    go_on.set()

    eventually(lambda: len(steps) == 2)
    loop.stop()
    assert loop.join(5)


def test_an_outage_is_logged_once_when_it_begins_and_once_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    down = True

    def step() -> float:
        if down:
            raise PostgresUnavailableError("refused")
        return AN_HOUR

    loop = Loop("dispatcher", step)
    assert all(0 < loop.run_once() < 3 for _ in range(20))
    down = False
    assert loop.run_once() == AN_HOUR
    assert loop.run_once() == AN_HOUR

    assert [record.getMessage() for record in caplog.records] == [
        "Postgres is unreachable, trying again until it is over",
        "Postgres is back",
    ]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (PostgresUnavailableError("gone"), "Postgres is unreachable, trying again"),
        (PostgresBusyError("lock timeout"), "Postgres is busy, trying again"),
        (UnfitSessionError("read-only"), "Postgres does not serve this session, trying again"),
    ],
)
def test_an_unexpected_error_is_not_logged_as_an_outage(
    caplog: pytest.LogCaptureFixture, error: Exception, text: str
) -> None:
    def step() -> float:
        raise error

    loop = Loop("test", step)
    for _ in range(2):
        loop.run_once()

    assert text in caplog.text


def test_a_step_that_fails_does_not_end_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    def step() -> float:
        raise ZeroDivisionError

    assert Loop("test", step).run_once() > 0
    assert "test failed and goes on" in caplog.text


def test_a_step_that_does_not_return_is_a_hanging_loop_and_a_rest_is_not(
    monkeypatch: pytest.MonkeyPatch, steps: list[float]
) -> None:
    monkeypatch.setattr(watchdog, "STALLED_SECONDS", 0.2)
    monkeypatch.setattr(WATCHDOG, "_turns", {})
    go_on = threading.Event()
    resting = Loop("resting", counting(steps, AN_HOUR))
    stuck = Loop("stuck", lambda: float(go_on.wait(30)))
    resting.start()
    stuck.start()

    eventually(lambda: (stalled := WATCHDOG.stalled()) and stalled.name == "stuck")
    go_on.set()
    eventually(lambda: WATCHDOG.stalled() is None)

    for loop in (resting, stuck):
        loop.stop()
        assert loop.join(5)
