"""Makes calls over one link for many threads that may be interrupted anywhere, such as those of actors."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from bridge.errors import MAY_PASS
from bridge.postgres.link import Link
from bridge.runtime.backoff import LEAST_REST_SECONDS, full_jitter

T = TypeVar("T")

_STEP_SECONDS = 0.05  # an interrupt reaches a waiting thread between two steps
_PATIENCE_SECONDS = 30.0  # longer than a failover of Postgres mostly takes
_REST_MOST_SECONDS = 2.0  # a store that is back is used again soon


@dataclass(slots=True)
class _Call:
    make: Callable[[Link], Any]
    give_up_at: float
    failures: int = 0
    # `put` is atomic: a thread that is interrupted here leaves no lock behind that the others would wait for.
    answer: "SimpleQueue[tuple[Any, BaseException | None]]" = field(default_factory=SimpleQueue)


class CallThread:
    """A thread with a link of its own, which makes the calls one after the other.

    A call that fails because of the store is made again, behind those that came meanwhile, for as long as its caller is
    patient. So it must be harmless to repeat. A caller that is interrupted leaves its call behind, which is still made.
    """

    def __init__(self, dsn: str, name: str) -> None:
        self._link = Link(dsn, name)
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, make: Callable[[Link], T], *, patience_seconds: float = _PATIENCE_SECONDS) -> T:
        """What `make` returns or raises. Raises StoreUnavailableError when the store is away for longer."""
        one = _Call(make, time.monotonic() + patience_seconds)
        self._calls.put(one)
        while True:
            try:
                result, error = one.answer.get(timeout=_STEP_SECONDS)
            except Empty:
                continue
            if error is not None:
                raise error
            value: T = result
            return value

    def close(self) -> None:
        """End the thread and its link, after the calls that were asked for before."""
        self._calls.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (one := self._calls.get()) is not None:
            self._make(one)
        self._link.close()

    def _make(self, one: _Call) -> None:
        try:
            result = one.make(self._link)
        except MAY_PASS as error:
            one.failures += 1
            if time.monotonic() >= one.give_up_at:
                one.answer.put((None, error))
                return
            time.sleep(LEAST_REST_SECONDS + full_jitter(one.failures, cap_seconds=_REST_MOST_SECONDS))
            self._calls.put(one)
        except BaseException as error:  # noqa: BLE001 -- raised in the caller's thread
            one.answer.put((None, error))
        else:
            one.answer.put((result, None))
