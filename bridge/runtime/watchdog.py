"""Finds a stalled thread: each watched thread calls `turn` while it makes progress; one that is overdue is stalled."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

# Longer than any wait for a store can be. The longest is for a name server that does not answer, then come the timeouts
# of connections and statements.
STALLED_SECONDS = 120.0


class StalledThread(NamedTuple):
    name: str
    since: float  # by the monotonic clock


@dataclass(eq=False, slots=True)
class _Turns:
    name: str
    due: float  # the latest time at which the next call of `turn` was promised
    is_excused: Callable[[], bool]


class Watchdog:
    """A watched thread calls `turn` before each step and each call to a store.

    A thread waits for an absent store in many short steps, so an outage never makes it look stalled. In a thread
    that is not watched, `turn` does nothing.
    """

    def __init__(self) -> None:
        self._turns: dict[threading.Thread, _Turns] = {}

    def watch(self, name: str, is_excused: Callable[[], bool] = lambda: False) -> None:
        """Expect this thread to call `turn` from now on, except while `is_excused()` is true."""
        self._turns[threading.current_thread()] = _Turns(name, time.monotonic(), is_excused)

    def forget(self) -> None:
        """Expect no more calls of `turn` from this thread: it ends as intended."""
        self._turns.pop(threading.current_thread(), None)

    def watched(self, name: str, run: Callable[[], object]) -> Callable[[], None]:
        """Wrap `run`, the target of a thread: it is watched until it returns. One that raises counts as stalled."""

        def target() -> None:
            self.watch(name)
            run()
            self.forget()

        return target

    def turn(self, rest_seconds: float = 0.0) -> None:
        """This thread makes progress, and will call `turn` again after a rest of `rest_seconds`."""
        turns = self._turns.get(threading.current_thread())
        if turns is not None:
            turns.due = time.monotonic() + rest_seconds

    def allow(self, seconds: float) -> None:
        """Give every thread `seconds` more, because the whole process was stopped."""
        for turns in self._turns.copy().values():
            turns.due += seconds

    def stalled(self) -> StalledThread | None:
        """A thread that has died, or has been overdue for STALLED_SECONDS; None when all make progress."""
        late = time.monotonic() - STALLED_SECONDS
        for thread, turns in self._turns.copy().items():
            if (turns.due < late or not thread.is_alive()) and not turns.is_excused():
                return StalledThread(turns.name, min(turns.due, time.monotonic()))
        return None


WATCHDOG = Watchdog()
