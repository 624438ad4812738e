"""A named thread that keeps a subscription to a store's messages open."""

import logging
import threading
from abc import ABC, abstractmethod

from bridge.errors import StoreUnavailableError
from bridge.runtime.backoff import full_jitter
from bridge.runtime.watchdog import WATCHDOG

logger = logging.getLogger(__name__)

STOP_CHECK_SECONDS = 0.5  # how long a wait for messages lasts before it is asked whether to stop
_CLOSE_SECONDS = 2.0  # some times that; the thread is a daemon, so no process waits for a slower one
_BUG_REST_SECONDS = 1.0  # so that a bug does not fill the log


class Subscription(ABC):
    """Subscribes until it is closed: again whenever the link breaks, after a random rest that grows to a limit.

    `subscribed` is set while messages arrive.
    """

    least_rest_seconds: float
    most_rest_seconds: float
    failed_text: str  # logged with the traceback of anything unexpected

    def __init__(self, name: str) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=WATCHDOG.watched(name, self._run), name=name, daemon=True)
        self.subscribed = threading.Event()

    @abstractmethod
    def _receive(self) -> None:
        """Subscribe, set `subscribed`, and pass messages on until `_stopping` is set.

        Raises StoreUnavailableError when the link breaks, or a probe shows that no messages arrive.
        """

    @abstractmethod
    def _lost(self, error: StoreUnavailableError, *, is_new: bool) -> None:
        """Log it. `is_new`: this try was the first one, or had subscribed before."""

    def start(self) -> None:
        self._thread.start()

    def close(self, timeout_seconds: float = _CLOSE_SECONDS) -> None:
        self._stopping.set()
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            WATCHDOG.turn()
            try:
                self._receive()
            except StoreUnavailableError as error:
                if self.subscribed.is_set():
                    failures = 0
                self._lost(error, is_new=failures == 0)
                self.subscribed.clear()
                failures += 1
                rest = full_jitter(failures, cap_seconds=self.most_rest_seconds)
                self._stopping.wait(self.least_rest_seconds + rest)
            except Exception:
                if self._stopping.is_set():  # the owner did not wait any longer, and closed the link under us
                    return
                logger.exception(self.failed_text)
                self._stopping.wait(_BUG_REST_SECONDS)
