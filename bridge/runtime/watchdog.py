"""Which threads of this process must go on turning, and which of them stands still."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

# Longer than any wait for a store: a name server that is away costs the most, then links and statements that time out.
STANDS_SECONDS = 120.0


class Standing(NamedTuple):
    name: str
    since: float  # by the monotonic clock


@dataclass(eq=False, slots=True)
class _Turns:
    name: str
    due: float  # by when the next turn was promised
    is_excused: Callable[[], bool]


class Watchdog:
    """Threads that are watched say `turn` before each step and each call to a store.

    A store that is away is waited for in many short turns, so it never makes a thread look as if it stood. In a thread
    that is not watched `turn` does nothing.
    """

    def __init__(self) -> None:
        self._turns: dict[threading.Thread, _Turns] = {}

    def watch(self, name: str, is_excused: Callable[[], bool] = lambda: False) -> None:
        """Expect turns of this thread from now on, but for the time that it is excused."""
        self._turns[threading.current_thread()] = _Turns(name, time.monotonic(), is_excused)

    def forget(self) -> None:
        """Expect nothing more of this thread: it ends, and should."""
        self._turns.pop(threading.current_thread(), None)

    def watched(self, name: str, run: Callable[[], object]) -> Callable[[], None]:
        """`run`, watched until it returns. What it raises ends a thread that should have gone on."""

        def target() -> None:
            self.watch(name)
            run()
            self.forget()

        return target

    def turn(self, rest_seconds: float = 0.0) -> None:
        """This thread goes on, and will turn again when it has rested so long."""
        turns = self._turns.get(threading.current_thread())
        if turns is not None:
            turns.due = time.monotonic() + rest_seconds

    def allow(self, seconds: float) -> None:
        """Give every thread so much time more: all of them were stopped."""
        for turns in self._turns.copy().values():
            turns.due += seconds

    def standing(self) -> Standing | None:
        """A thread that has died, or has been overdue for STANDS_SECONDS; None when all of them turn."""
        late = time.monotonic() - STANDS_SECONDS
        for thread, turns in self._turns.copy().items():
            if (turns.due < late or not thread.is_alive()) and not turns.is_excused():
                return Standing(turns.name, min(turns.due, time.monotonic()))
        return None


WATCHDOG = Watchdog()
