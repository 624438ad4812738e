"""Finds a stalled thread: each watched thread calls `turn` while it makes progress, and one that is overdue is stalled.

Log lines and the files of liveness call such a thread `standing`.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

# Longer than any wait for a store can be. The longest is for a name server that is away, then come the timeouts of
# connections and statements.
STANDS_SECONDS = 120.0


class Standing(NamedTuple):
    """A stalled thread."""

    name: str
    since: float  # by the monotonic clock


@dataclass(eq=False, slots=True)
class _Turns:
    name: str
    due: float  # when the next turn was promised at the latest
    is_excused: Callable[[], bool]


class Watchdog:
    """A watched thread calls `turn` before each step and each call to a store.

    A thread waits for a store that is away in many short turns, so an outage never makes it look stalled. In a thread
    that is not watched, `turn` does nothing.
    """

    def __init__(self) -> None:
        self._turns: dict[threading.Thread, _Turns] = {}

    def watch(self, name: str, is_excused: Callable[[], bool] = lambda: False) -> None:
        """Expect turns of this thread from now on, except while `is_excused()` is true."""
        self._turns[threading.current_thread()] = _Turns(name, time.monotonic(), is_excused)

    def forget(self) -> None:
        """Expect no more turns of this thread: it ends as intended."""
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

    def standing(self) -> Standing | None:
        """A thread that has died, or has been overdue for STANDS_SECONDS; None when all make progress."""
        late = time.monotonic() - STANDS_SECONDS
        for thread, turns in self._turns.copy().items():
            if (turns.due < late or not thread.is_alive()) and not turns.is_excused():
                return Standing(turns.name, min(turns.due, time.monotonic()))
        return None


WATCHDOG = Watchdog()
