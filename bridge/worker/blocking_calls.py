"""`job.interruptible()`: ends calls of an actor that its interrupt does not reach.

An interrupt is raised at the next step of Python code. A read that blocks in C, as from a socket that stays silent,
takes no such step.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bridge.logs.fields import LogFields

logger = logging.getLogger(__name__)

End = Callable[[], object]


class BlockingCalls:
    """The `interruptible` blocks that one actor is in, the innermost last."""

    def __init__(self) -> None:
        self._calls: list[_BlockingCall] = []

    @contextmanager
    def interruptible(self, end: End) -> Iterator[None]:
        call = _BlockingCall(end)
        self._calls.append(call)
        try:
            yield
        finally:
            self._calls.remove(call)

    def end(self, fields: LogFields) -> None:
        """End them, the innermost first. Returns at once; each call of an actor's code has a thread of its own."""
        for call in reversed(self._calls.copy()):
            call.end(fields)

    def __bool__(self) -> bool:
        return bool(self._calls)


class _BlockingCall:
    def __init__(self, end: End) -> None:
        self._end = end
        self._thread: threading.Thread | None = None
        self._is_told = False

    def end(self, fields: LogFields) -> None:
        """Call `end` in a thread. While that still runs it is not called again, since it may be what blocks."""
        if self._thread is not None and self._thread.is_alive():
            self._tell("The end function of an interruptible call does not return", fields)
            return
        self._thread = threading.Thread(target=self._run, args=(fields,), name="end of a call", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # the machine has no thread left
            self._tell("The end function of an interruptible call was not called", fields, error)

    def _run(self, fields: LogFields) -> None:
        try:
            self._end()
        except BaseException as error:  # noqa: BLE001 -- an actor's code may raise anything
            self._tell("The end function of an interruptible call failed", fields, error)

    def _tell(self, text: str, fields: LogFields, error: BaseException | None = None) -> None:
        if not self._is_told:
            self._is_told = True
            logger.error(text, extra=fields, exc_info=error)
