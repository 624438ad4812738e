"""Which threads count as hanging: those that died, and those that did not turn within the time they announced."""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext

import pytest

from bridge.runtime import watchdog
from bridge.runtime.watchdog import Watchdog
from tests.support.waiting import eventually


@pytest.fixture(autouse=True)
def short_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "STALLED_SECONDS", 0.3)


@pytest.fixture
def dog() -> Watchdog:
    return Watchdog()


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    stop = threading.Event()
    yield stop
    stop.set()


def start_watched(dog: Watchdog, run: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=dog.watched("loop", run), daemon=True)
    thread.start()
    return thread


def is_hanging(dog: Watchdog) -> bool:
    stalled = dog.stalled()
    return stalled is not None and stalled.name == "loop"


def test_a_thread_hangs_when_it_no_longer_turns(dog: Watchdog, stop: threading.Event) -> None:
    turning = threading.Event()
    turning.set()

    def run() -> None:
        while not stop.wait(0.02):
            if turning.is_set():
                dog.turn()

    thread = start_watched(dog, run)
    with pytest.raises(AssertionError):
        eventually(lambda: is_hanging(dog), seconds=0.6)

    turning.clear()
    eventually(lambda: is_hanging(dog))
    turning.set()
    eventually(lambda: not is_hanging(dog))

    stop.set()
    thread.join(5)
    assert dog.stalled() is None, "it ended as it should"


@pytest.mark.parametrize(("rest", "is_late"), [(0.0, True), (60.0, False), (math.inf, False)])
def test_a_thread_in_an_announced_rest_does_not_hang(
    dog: Watchdog, stop: threading.Event, rest: float, is_late: bool
) -> None:
    def run() -> None:
        dog.turn(rest)
        stop.wait(30)

    start_watched(dog, run)

    with pytest.raises(AssertionError) if not is_late else nullcontext():
        eventually(lambda: is_hanging(dog), seconds=5.0 if is_late else 0.6)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_died_counts_as_hanging_at_once(dog: Watchdog) -> None:
    def die() -> None:
        dog.turn(math.inf)
        raise SystemError("an error that nobody foresaw")

    start_watched(dog, die).join(5)

    assert is_hanging(dog)


def test_an_excused_thread_does_not_count_as_hanging(dog: Watchdog, stop: threading.Event) -> None:
    excused = [True]

    def run() -> None:
        dog.watch("loop", lambda: excused[0])
        stop.wait(30)

    threading.Thread(target=run, daemon=True).start()
    with pytest.raises(AssertionError):
        eventually(lambda: is_hanging(dog), seconds=0.6)

    excused[0] = False

    assert is_hanging(dog)


def test_a_turn_of_a_thread_that_is_not_watched_does_nothing(dog: Watchdog) -> None:
    dog.turn()
    assert dog.stalled() is None
