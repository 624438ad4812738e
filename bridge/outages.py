"""Trouble with a store, told once when it begins and once when it is over, however often it is met in between.

An outage is one trouble for the whole process: whoever meets it first tells it, and whoever is the last to find
that the store answers again.
"""

import logging
import threading
from collections import Counter, defaultdict
from collections.abc import Callable

from bridge.errors import BridgeError, StoreUnavailableError

logger = logging.getLogger(__name__)

_OUTAGE = 2  # failures in a row: an old link that broke, perhaps long ago, is made anew without a word


class _Outages:
    """By store, those that meet its outage. Of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._met_by: defaultdict[str, set[Trouble]] = defaultdict(set)

    def begin(self, store: str, trouble: "Trouble") -> bool:
        """Whether it is the first."""
        with self._lock:
            is_first = not self._met_by[store]
            self._met_by[store].add(trouble)
            return is_first

    def end(self, store: str, trouble: "Trouble") -> bool:
        """Whether it was the last."""
        with self._lock:
            self._met_by[store].discard(trouble)
            return not self._met_by[store]

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
        self._failures: Counter[str] = Counter()  # by store that does not answer
        self._is_told = False  # of its own

    def met(self, error: BridgeError) -> None:
        extra = {"met_by": self._name, "reason": str(error)}
        if isinstance(error, StoreUnavailableError) and error.condition == StoreUnavailableError.condition:
            self._failures[error.store] += 1
            if self._failures[error.store] == _OUTAGE:
                level = logging.ERROR if OUTAGES.begin(error.store, self) else logging.DEBUG
                logger.log(level, "%s is unreachable, trying again until it is over", error.store, extra=extra)
        elif not self._is_told:
            self._is_told = True
            logger.error(self._text(error), extra=extra)

    def over(self) -> None:
        """For every success: it costs nothing where there was no trouble."""
        while self._failures:
            store, failures = self._failures.popitem()
            if failures >= _OUTAGE:
                level = logging.INFO if OUTAGES.end(store, self) else logging.DEBUG
                logger.log(level, "%s is back", store, extra={"met_by": self._name})
        if self._is_told:
            self._is_told = False
            logger.info(self._over)

    def forget(self) -> None:
        """Its thread ends, whatever it met last."""
        for store in self._failures:
            OUTAGES.end(store, self)
        self._failures.clear()
