"""An outage of a store is logged once when it begins and once when it ends, however often it is met in between.

An outage belongs to the whole process: the first reporter that meets it logs its beginning, and the last one that
finds the store answering again logs its end.
"""

import logging
import threading
from collections import Counter, defaultdict
from collections.abc import Callable

from bridge.errors import BridgeError, NoConnectionFreeError, ReadOnlyError, StoreUnavailableError

logger = logging.getLogger(__name__)

# Condition → failures in a row before it is logged, and the text that logs its end. Two, because one failure may be
# an old connection that broke long ago and is simply reopened.
_CONDITIONS = {
    StoreUnavailableError.condition: (2, "is back"),
    NoConnectionFreeError.condition: (1, "has a connection free again"),
    ReadOnlyError.condition: (2, "takes writes again"),
}


Outage = tuple[str, str]  # a store and its condition


class _OpenOutages:
    """Outage → the reporters that have met it and not yet seen it end. One for the process, shared by its threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._met_by: defaultdict[Outage, set[ErrorReporter]] = defaultdict(set)

    def begin(self, outage: Outage, reporter: "ErrorReporter") -> bool:
        """Whether this reporter is the first to meet it."""
        with self._lock:
            is_first = not self._met_by[outage]
            self._met_by[outage].add(reporter)
            return is_first

    def end(self, outage: Outage, reporter: "ErrorReporter") -> bool:
        """Whether this reporter was the last one still in it."""
        with self._lock:
            self._met_by[outage].discard(reporter)
            return not self._met_by[outage]

    def clear(self) -> None:
        with self._lock:
            self._met_by.clear()


OPEN_OUTAGES = _OpenOutages()


class ErrorReporter:
    """Logs the errors of one thread. An outage of a store is logged once per process; any other error once here,
    with `text`, until a success logs `over`.
    """

    def __init__(self, name: str, text: Callable[[BridgeError], str], over: str) -> None:
        self._name = name
        self._text = text
        self._over = over
        self._failures: Counter[Outage] = Counter()
        self._is_logged = False  # an error that is not an outage

    def failed(self, error: BridgeError) -> None:
        extra = {"met_by": self._name, "reason": str(error)}
        if isinstance(error, StoreUnavailableError) and error.condition in _CONDITIONS:
            outage = error.store, error.condition
            self._failures[outage] += 1
            if self._failures[outage] == _CONDITIONS[error.condition][0]:
                level = logging.ERROR if OPEN_OUTAGES.begin(outage, self) else logging.DEBUG
                logger.log(level, "%s %s, trying again until it is over", *outage, extra=extra)
        elif not self._is_logged:
            self._is_logged = True
            logger.error(self._text(error), extra=extra)

    def succeeded(self) -> None:
        """To be called on every success: without an error before, it costs two checks."""
        while self._failures:
            outage, failures = self._failures.popitem()
            store, condition = outage
            threshold, end = _CONDITIONS[condition]
            if failures >= threshold:
                level = logging.INFO if OPEN_OUTAGES.end(outage, self) else logging.DEBUG
                logger.log(level, "%s %s", store, end, extra={"met_by": self._name})
        if self._is_logged:
            self._is_logged = False
            logger.info(self._over)

    def close(self) -> None:
        """The thread ends: it no longer keeps an outage open."""
        for outage in self._failures:
            OPEN_OUTAGES.end(outage, self)
        self._failures.clear()
