"""The one arrow back: what went silent is taken back."""

import logging
import time
from collections.abc import Callable
from datetime import timedelta

from bridge.dispatch.routing import Routing
from bridge.job import Outcome
from bridge.postgres.job_queue import JobQueue
from bridge.postgres.link import Link
from bridge.runtime.clock import seconds_asleep

logger = logging.getLogger(__name__)

_SWEEP_SECONDS = 1.0
_WATCH_SECONDS = 0.5
_WATCH_CLOSELY_SECONDS = 0.2
_QUIET_SECONDS = 10.0
# How long a worker may be without its lock. One whose link broke has taken it again long before; one that needs
# longer, because its link is slow, has said so.
_CONFIRM = timedelta(seconds=1)
_YOUNG_SECONDS = 3.0
_FIRST_GRACE_SECONDS = 10.0  # a worker whose link was away needs up to a rest and a new link to be heard again
_GRACES = 3  # in leases
_BATCH = 500


class Recovery:
    """Sweeps once a second, and looks twice as often for workers whose link is gone: those died.

    Every bridge may: in Postgres one of them at a time sweeps, and doubling is harmless.
    """

    def __init__(
        self,
        link: Link,
        on_claimable: Callable[[], None],
        on_lost: Callable[[], None] = lambda: None,
        *,
        lease_seconds: float,
    ) -> None:
        self._link = link
        self._queue = JobQueue(link)
        self.routing = Routing(self._queue)
        self._on_claimable = on_claimable  # jobs were taken back, or moved to another queue
        self._on_lost = on_lost  # a worker died, perhaps with messages that it had not started
        self._lease_seconds = lease_seconds
        self._first_link: float | None = None
        self._asleep = seconds_asleep()
        self._woke_at = float("-inf")
        self._restless_since: float | None = None
        self._swept_at = self._active_at = float("-inf")
        self._without = 0

    def active(self) -> None:
        """Jobs are on their way. For any thread: while none are, looks are half as frequent."""
        self._active_at = time.monotonic()

    def step(self) -> float:
        """One look at the links, and a sweep when it is due; the seconds to rest."""
        pace = 1 if time.monotonic() - self._active_at < _QUIET_SECONDS else 2
        if self._some_were_lost() or time.monotonic() - self._swept_at >= pace * _SWEEP_SECONDS:
            reclaimed = self._reclaim()
            self._swept_at = time.monotonic()
            if reclaimed:
                self._on_claimable()
            if reclaimed == _BATCH:
                self._swept_at = float("-inf")
                return 0.0
        # Behind all that takes back: it may meet locks.
        if self.routing.step():
            self._on_claimable()
        if self.routing.has_more:
            return 0.0
        return _WATCH_CLOSELY_SECONDS if self._without else pace * _WATCH_SECONDS

    def _some_were_lost(self) -> bool:
        """Look at the workers' links. Not when ours is young: what broke it may have broken theirs as well."""
        _ = self._link.connection
        if self._first_link is None:
            self._first_link = self._link.opened_at
        if time.monotonic() - self._good_since() < _YOUNG_SECONDS:
            return False
        before, self._without = self._without, self._queue.watch_links(confirm=_CONFIRM)
        if self._without >= before:
            return False
        self._on_lost()
        return True

    def _good_since(self) -> float:
        """Since when our link stood and this machine was awake: leases go on while it sleeps, heartbeats do not."""
        before, self._asleep = self._asleep, seconds_asleep()
        if self._asleep - before > self._lease_seconds / 2:
            self._woke_at = time.monotonic()
        return max(self._link.opened_at, self._woke_at)

    def _grace(self) -> timedelta:
        """For a lease after our own link came back no lease runs out: heartbeats need that long.

        But a link that breaks again and again, and never stands for a lease, must not keep the dead alive. And a bridge
        that has just started need not have been away: it waits for those that were away as it was, and no longer.
        """
        lease, since = self._lease_seconds, self._good_since()
        is_first = since == self._first_link
        if time.monotonic() - since >= (min(lease, _FIRST_GRACE_SECONDS) if is_first else lease):
            self._restless_since = None
            return timedelta(seconds=lease)
        if is_first:
            return timedelta.max
        if self._restless_since is None:
            self._restless_since = since
        return timedelta(seconds=lease) if since - self._restless_since > _GRACES * lease else timedelta.max

    def _reclaim(self) -> int:
        reclaimed = self._queue.reclaim_jobs(limit=_BATCH, grace=self._grace())
        for job in reclaimed:
            level = logging.INFO if job.outcome is Outcome.RELEASED else logging.WARNING
            logger.log(
                level,
                "Job taken back",
                extra={"jobId": str(job.job_id), "outcome": job.outcome.value, "status": job.status.value},
            )
        return len(reclaimed)
