"""The history, kept for some seconds: many viewers cost no more than one."""

import threading
from collections import OrderedDict
from typing import Any

from bridge.postgres.history import RANGES, RangeError, read_history, read_latencies
from bridge.postgres.job_list import Call
from bridge.web.cached import Cached

# Of each range, until it is read again: a part of its step, so that no chart lags by much.
_KEPT_SECONDS = {"1h": 10.0, "24h": 60.0, "30d": 300.0}
_KEPT_MOST = 100  # of queues and ranges: more than are looked at; the one that nobody has asked for longest goes


class Histories:
    def __init__(self, call: Call) -> None:
        self._call = call
        self._lock = threading.Lock()
        self._latencies = Cached(lambda: read_latencies(call), _KEPT_SECONDS["1h"])
        self._kept: OrderedDict[tuple[str, str | None], Cached] = OrderedDict()

    def get(self, name: str, queue: str | None = None) -> dict[str, Any]:
        """As `read_history`. The answer is shared: do not change it."""
        if name not in RANGES:
            raise RangeError(f"range must be one of {', '.join(RANGES)}")
        found: dict[str, Any] = self._of(name, queue).get()
        return found

    def latencies(self) -> dict[str, Any]:
        """As `read_latencies`. The answer is shared: do not change it."""
        found: dict[str, Any] = self._latencies.get()
        return found

    def _of(self, name: str, queue: str | None) -> Cached:
        with self._lock:
            key = name, queue
            if key not in self._kept:
                self._kept[key] = Cached(lambda: read_history(self._call, name, queue), _KEPT_SECONDS[name])
                if len(self._kept) > _KEPT_MOST:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]
