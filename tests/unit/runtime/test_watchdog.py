"""Which threads stand still: those that died, and those that promised a turn and did not make it."""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext

import pytest

from bridge.runtime import watchdog
from bridge.runtime.watchdog import Watchdog
from tests.support.waiting import eventually


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "STANDS_SECONDS", 0.3)


@pytest.fixture
def dog() -> Watchdog:
    return Watchdog()


@pytest.fixture
def go_on() -> Iterator[threading.Event]:
    go_on = threading.Event()
    yield go_on
    go_on.set()


def begin(dog: Watchdog, run: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=dog.watched("loop", run), daemon=True)
    thread.start()
    return thread


def stands(dog: Watchdog) -> bool:
    standing = dog.standing()
    return standing is not None and standing.name == "loop"


def test_who_turns_does_not_stand_and_who_stops_turning_does(dog: Watchdog, go_on: threading.Event) -> None:
    turning = threading.Event()
    turning.set()

    def run() -> None:
        while not go_on.wait(0.02):
            if turning.is_set():
                dog.turn()

    thread = begin(dog, run)
    with pytest.raises(AssertionError):
        eventually(lambda: stands(dog), seconds=0.6)

    turning.clear()
    eventually(lambda: stands(dog))
    turning.set()
    eventually(lambda: not stands(dog))

    go_on.set()
    thread.join(5)
    assert dog.standing() is None, "it ended as it should"


@pytest.mark.parametrize(("rest", "is_late"), [(0.0, True), (60.0, False), (math.inf, False)])
def test_a_rest_that_was_announced_is_no_standing(
    dog: Watchdog, go_on: threading.Event, rest: float, is_late: bool
) -> None:
    def run() -> None:
        dog.turn(rest)
        go_on.wait(30)

    begin(dog, run)

    with pytest.raises(AssertionError) if not is_late else nullcontext():
        eventually(lambda: stands(dog), seconds=5.0 if is_late else 0.6)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_died_stands_at_once(dog: Watchdog) -> None:
    def die() -> None:
        dog.turn(math.inf)
        raise SystemError("an error that nobody foresaw")

    begin(dog, die).join(5)

    assert stands(dog)


def test_who_is_excused_does_not_stand(dog: Watchdog, go_on: threading.Event) -> None:
    excused = [True]

    def run() -> None:
        dog.watch("loop", lambda: excused[0])
        go_on.wait(30)

    threading.Thread(target=run, daemon=True).start()
    with pytest.raises(AssertionError):
        eventually(lambda: stands(dog), seconds=0.6)

    excused[0] = False

    assert stands(dog)


def test_a_turn_of_a_thread_that_is_not_watched_does_nothing(dog: Watchdog) -> None:
    dog.turn()
    assert dog.standing() is None
