"""How fast each queue moves, and what that allows: how far to hand over ahead, how many jobs to a message."""

import json
import threading
from dataclasses import dataclass
from typing import Any

from bridge.envelope import JOBS_MOST

_AHEAD_SECONDS = 0.1
_AHEAD_MOST = 1000
_MESSAGE_SECONDS = 0.02
_QUIET_SECONDS = 1.0
_AVERAGE_SECONDS = 0.25


@dataclass(slots=True)
class _Flow:
    since: float
    rate: float = 0.0  # jobs a second
    seconds: float = 1.0  # of one job in its thread


class Pace:
    """Measured, from what workers say they have settled. One thread tells, another one asks.

    Short jobs get a stock in Redis that hides the way through it, and travel together. Long ones get
    neither: the next job is chosen when a slot is free and not before.
    """

    def __init__(self) -> None:
        self._flows: dict[str, _Flow] = {}
        self._lock = threading.Lock()

    def heard(self, text: str | None, now: float) -> None:
        """A worker's word: by queue, the jobs it settled and the milliseconds they took. Nonsense is left alone."""
        try:
            said: dict[str, Any] = json.loads(text or "{}")
            settled = {str(queue): (int(jobs), float(ms)) for queue, (jobs, ms) in said.get("settled", {}).items()}
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            return
        with self._lock:
            for queue, (jobs, ms) in settled.items():
                self._settled(queue, jobs, ms / 1000, now)

    def _settled(self, queue: str, jobs: int, seconds: float, now: float) -> None:
        flow = self._flows.setdefault(queue, _Flow(now - _QUIET_SECONDS))
        elapsed = max(now - flow.since, 0.001)
        # An average over the last quarter second or so: each report counts for as long as it took.
        weight = min(1.0, elapsed / _AVERAGE_SECONDS)
        flow.rate += weight * (jobs / elapsed - flow.rate)
        if jobs > 0:
            flow.seconds += max(weight, 0.1) * (seconds / jobs - flow.seconds)
        flow.since = now

    def ahead(self, now: float) -> dict[str, int]:
        """Queue → jobs to hand over beyond the free slots; queues that went quiet are forgotten."""
        with self._lock:
            self._flows = {queue: flow for queue, flow in self._flows.items() if now - flow.since <= _QUIET_SECONDS}
            ahead = {queue: min(_AHEAD_MOST, int(flow.rate * _AHEAD_SECONDS)) for queue, flow in self._flows.items()}
        return {queue: jobs for queue, jobs in ahead.items() if jobs > 0}

    def together(self, queue: str) -> int:
        """How many jobs of this queue travel in one message: what one thread does in 20 ms, and never so many
        that a few messages hold all that is handed over.
        """
        with self._lock:
            flow = self._flows.get(queue)
            if flow is None:
                return 1
            share = int(flow.rate * _AHEAD_SECONDS) // 8
            return max(1, min(share, JOBS_MOST // 2, int(_MESSAGE_SECONDS / max(flow.seconds, 1e-6))))
