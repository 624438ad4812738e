"""Trouble with a store, told once when it begins and once when it is over, however often it is met in between.

An outage is one trouble for the whole process: whoever meets it first tells it, and whoever is the last to find
that the store answers again.
"""

import logging
import threading
from collections import Counter, defaultdict
from collections.abc import Callable

from bridge.errors import BridgeError, NoConnectionFreeError, ReadOnlyError, StoreUnavailableError

logger = logging.getLogger(__name__)

# What a whole process meets: failures in a row until it is told, and the words for its end. An old link that broke,
# perhaps long ago, is made anew without a word.
_OUTAGES = {
    StoreUnavailableError.condition: (2, "is back"),
    NoConnectionFreeError.condition: (1, "has a connection free again"),
    ReadOnlyError.condition: (2, "takes writes again"),
}


Outage = tuple[str, str]  # a store and its condition


class _Outages:
    """By store and condition, those that meet the outage. Of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._met_by: defaultdict[Outage, set[Trouble]] = defaultdict(set)

    def begin(self, outage: Outage, trouble: "Trouble") -> bool:
        """Whether it is the first."""
        with self._lock:
            is_first = not self._met_by[outage]
            self._met_by[outage].add(trouble)
            return is_first

    def end(self, outage: Outage, trouble: "Trouble") -> bool:
        """Whether it was the last."""
        with self._lock:
            self._met_by[outage].discard(trouble)
            return not self._met_by[outage]

    def forget(self) -> None:
        with self._lock:
            self._met_by.clear()


OUTAGES = _Outages()


class Trouble:
    """What one thread meets. `text` and `over` are for trouble that others need not have."""

    def __init__(self, name: str, text: Callable[[BridgeError], str], over: str) -> None:
        self._name = name
        self._text = text
        self._over = over
        self._failures: Counter[Outage] = Counter()
        self._is_told = False  # of its own

    def met(self, error: BridgeError) -> None:
        extra = {"met_by": self._name, "reason": str(error)}
        if isinstance(error, StoreUnavailableError) and error.condition in _OUTAGES:
            outage = error.store, error.condition
            self._failures[outage] += 1
            if self._failures[outage] == _OUTAGES[error.condition][0]:
                level = logging.ERROR if OUTAGES.begin(outage, self) else logging.DEBUG
                logger.log(level, "%s %s, trying again until it is over", *outage, extra=extra)
        elif not self._is_told:
            self._is_told = True
            logger.error(self._text(error), extra=extra)

    def over(self) -> None:
        """For every success: it costs nothing where there was no trouble."""
        while self._failures:
            outage, failures = self._failures.popitem()
            store, condition = outage
            most, end = _OUTAGES[condition]
            if failures >= most:
                level = logging.INFO if OUTAGES.end(outage, self) else logging.DEBUG
                logger.log(level, "%s %s", store, end, extra={"met_by": self._name})
        if self._is_told:
            self._is_told = False
            logger.info(self._over)

    def forget(self) -> None:
        """Its thread ends, whatever it met last."""
        for outage in self._failures:
            OUTAGES.end(outage, self)
        self._failures.clear()
