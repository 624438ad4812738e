"""Start calls of a worker process, many at a time: each thread waits for its own answer."""

import logging
import threading
from collections.abc import Callable, Sequence
from uuid import UUID

from bridge.attempts import AttemptBook, Held
from bridge.errors import BridgeError
from bridge.group_commit import GroupCommit
from bridge.job import Attempt

logger = logging.getLogger(__name__)


class _Request:
    def __init__(self, held: Held) -> None:
        self.held = held
        assert held.exec is not None
        self.exec = held.exec
        self.attempt: Attempt | None = None
        self.answered = threading.Event()
        self.given_up = False


class Starts:
    """Takes up attempts. An answer that does not come in time is a no, and made one in Postgres too."""

    def __init__(
        self,
        book: AttemptBook,
        worker: Callable[[], UUID],
        give_back: Callable[[Held], None],
        *,
        patience_seconds: float,
    ) -> None:
        self._book = book
        self._worker = worker
        self._give_back = give_back
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()
        self._writer = GroupCommit[_Request]("start calls", self._write, on_refused=_answer_no)

    def open(self) -> None:
        self._writer.start()

    def close(self, timeout_seconds: float) -> None:
        self._writer.close(timeout_seconds)
        self._book.close()

    def start(self, held: Held) -> Attempt | None:
        """The attempt, now ours; None when it is not, or when nobody could say in time."""
        request = _Request(held)
        self._writer.submit(request)
        if not request.answered.wait(self._patience_seconds):
            with self._lock:
                request.given_up = not request.answered.is_set()
        return request.attempt

    def _write(self, requests: Sequence[_Request]) -> None:
        waiting = [request for request in requests if not request.given_up]
        started = self._book.start(self._worker(), [request.held for request in waiting]) if waiting else {}
        for request in waiting:
            attempt = started.get(request.exec)
            with self._lock:
                if not request.given_up:
                    request.attempt = attempt
                    request.answered.set()
                    continue
            if attempt is not None:
                self._give_back(request.held)  # the thread has gone on: nobody will run this


def _answer_no(request: _Request, error: BridgeError) -> None:  # noqa: ARG001 -- the log has said it
    request.answered.set()
