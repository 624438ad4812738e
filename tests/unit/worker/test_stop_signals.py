"""A signal that interrupts its own handler. What the handlers of a package do: tests/acceptance/test_processes.py."""

import signal
import time
from collections.abc import Iterator
from types import FrameType

import pytest

from bridge.worker import stop_signals
from bridge.worker.stop_signals import StopSignals

_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {signum: signal.getsignal(signum) for signum in _SIGNALS}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


def worker_process(*signals: signal.Signals) -> list[str]:
    """What Dramatiq does at these signals. Named as its function, by which its handler is found."""
    running, done = True, []

    def termhandler(_signum: int, _frame: FrameType | None) -> None:
        nonlocal running
        done.append("stop" if running else "stop at once")
        running = False

    StopSignals().booted()
    for signum in signals:
        signal.raise_signal(signum)
    assert callable(termhandler)  # so that it is a local of this frame
    return done


def test_the_same_signal_counts_once_wherever_it_interrupts_its_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    passed_on: list[float] = []

    def interrupted() -> float:
        now = time.monotonic()
        if not passed_on:
            passed_on.append(now)
            signal.raise_signal(signal.SIGTERM)
        return now

    monkeypatch.setattr(stop_signals, "time", type("", (), {"monotonic": staticmethod(interrupted)}))

    assert worker_process(signal.SIGTERM) == ["stop"]
    assert passed_on


def test_one_that_comes_later_is_another_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop_signals, "SAME_SIGNAL_SECONDS", 0.0)

    assert worker_process(signal.SIGTERM, signal.SIGTERM) == ["stop", "stop at once"]
