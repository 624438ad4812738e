"""A named thread that calls one step repeatedly, and can be woken and stopped."""

import logging
import threading
from collections.abc import Callable

from bridge.errors import BridgeError, StoreUnavailableError
from bridge.runtime.backoff import LEAST_REST_SECONDS, full_jitter
from bridge.runtime.outages import ErrorReporter
from bridge.runtime.watchdog import WATCHDOG

logger = logging.getLogger(__name__)


class Loop:
    """Calls `step` until stopped. `step` returns the seconds to rest; `wake` cuts a rest short.

    A step that fails never ends the loop: it rests for a random time and continues.
    """

    def __init__(self, name: str, step: Callable[[], float]) -> None:
        self.name = name
        self._step = step
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._failures = 0
        self._errors = ErrorReporter(name, _message, f"{name} works again")
        self._thread = threading.Thread(target=WATCHDOG.watched(name, self._run), name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._wake.set()

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    def stop(self) -> None:
        """Ask the loop to end after its current step. Does not wait: see `join`."""
        self._stopping.set()
        self._wake.set()

    def join(self, timeout_seconds: float) -> bool:
        """Wait for the loop to end. False when it has not ended in time."""
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def run_once(self) -> float:
        """Run one step with the loop's error handling. Returns the seconds to rest."""
        try:
            rest = self._step()
        except BridgeError as error:
            self._errors.failed(error)
            return self._rest_after_failure(error.rest_most_seconds)
        except Exception:
            logger.exception("%s failed and goes on", self.name)
            return self._rest_after_failure(BridgeError.rest_most_seconds)
        self._errors.succeeded()
        self._failures = 0
        return rest

    def _rest_after_failure(self, most_seconds: float) -> float:
        self._failures += 1
        return LEAST_REST_SECONDS + full_jitter(self._failures, cap_seconds=most_seconds)

    def _run(self) -> None:
        while True:
            self._wake.clear()  # before the check and the step, so that a wake during either is not lost
            if self._stopping.is_set():
                self._errors.close()
                return
            WATCHDOG.turn()
            rest = self.run_once()
            WATCHDOG.turn(rest)
            # After a failure only `stop` cuts the rest short, or wake-ups would make the loop spin.
            (self._stopping if self._failures else self._wake).wait(rest)


def _message(error: BridgeError) -> str:
    what = f"{error.store} {error.condition}" if isinstance(error, StoreUnavailableError) else "A step fails"
    return f"{what}, trying again until it is over"
