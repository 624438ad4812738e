"""Logs trouble with a store once when it begins and once when it is over, however many errors come in between.

An outage is one trouble for the whole process: the first thread that meets it logs its beginning, and the last thread
for which the store answers again logs its end.
"""

import logging
import threading
from collections import Counter, defaultdict
from collections.abc import Callable

from bridge.errors import BridgeError, NoConnectionFreeError, ReadOnlyError, StoreUnavailableError

logger = logging.getLogger(__name__)

# By condition: after how many failures in a row it is logged, and the text for its end. Two where the first failure may
# be an idle connection that broke unnoticed and is replaced at once: that is not worth a line.
_OUTAGES = {
    StoreUnavailableError.condition: (2, "is back"),
    NoConnectionFreeError.condition: (1, "has a connection free again"),
    ReadOnlyError.condition: (2, "takes writes again"),
}


Outage = tuple[str, str]  # a store and its condition


class _Outages:
    """The outages of one process: by store and condition, the threads that have met it and not yet recovered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._met_by: defaultdict[Outage, set[Trouble]] = defaultdict(set)

    def begin(self, outage: Outage, trouble: "Trouble") -> bool:
        """Record that `trouble` has met the outage. True for the first one."""
        with self._lock:
            is_first = not self._met_by[outage]
            self._met_by[outage].add(trouble)
            return is_first

    def end(self, outage: Outage, trouble: "Trouble") -> bool:
        """Record that `trouble` has recovered. True for the last one."""
        with self._lock:
            self._met_by[outage].discard(trouble)
            return not self._met_by[outage]

    def forget(self) -> None:
        with self._lock:
            self._met_by.clear()


OUTAGES = _Outages()


class Trouble:
    """The trouble of one thread. `text` and `over` are its log lines for errors that are not outages."""

    def __init__(self, name: str, text: Callable[[BridgeError], str], over: str) -> None:
        self._name = name
        self._text = text
        self._over = over
        self._failures: Counter[Outage] = Counter()
        self._is_logged = False  # an error that is not an outage

    def met(self, error: BridgeError) -> None:
        extra = {"met_by": self._name, "reason": str(error)}
        if isinstance(error, StoreUnavailableError) and error.condition in _OUTAGES:
            outage = error.store, error.condition
            self._failures[outage] += 1
            if self._failures[outage] == _OUTAGES[error.condition][0]:
                level = logging.ERROR if OUTAGES.begin(outage, self) else logging.DEBUG
                logger.log(level, "%s %s, trying again until it is over", *outage, extra=extra)
        elif not self._is_logged:
            self._is_logged = True
            logger.error(self._text(error), extra=extra)

    def over(self) -> None:
        """Call it after every success: without trouble before, it costs almost nothing."""
        while self._failures:
            outage, failures = self._failures.popitem()
            store, condition = outage
            most, end = _OUTAGES[condition]
            if failures >= most:
                level = logging.INFO if OUTAGES.end(outage, self) else logging.DEBUG
                logger.log(level, "%s %s", store, end, extra={"met_by": self._name})
        if self._is_logged:
            self._is_logged = False
            logger.info(self._over)

    def forget(self) -> None:
        """Call it when the thread ends: an outage that it has met is over for it, and nothing is logged."""
        for outage in self._failures:
            OUTAGES.end(outage, self)
        self._failures.clear()
