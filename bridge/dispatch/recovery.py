"""Takes back the jobs of workers that went silent, and hand-overs that no worker started."""

import logging
import time
from collections.abc import Callable
from datetime import timedelta

from bridge.dispatch.routing import Routing
from bridge.job import Outcome
from bridge.postgres.job_queue import JobQueue
from bridge.postgres.link import Link
from bridge.postgres.queue_rows import WatchedWorkers
from bridge.runtime.clock import seconds_asleep

logger = logging.getLogger(__name__)

_SWEEP_SECONDS = 1.0  # how late an expired lease is noticed
# Between checks of the workers' links; more often while one is missing, so that little is added to _CONFIRM.
_WATCH_SECONDS, _WATCH_CLOSELY_SECONDS = 0.5, 0.2
_QUIET_SECONDS = 10.0  # without a message of workers for so long, probably nothing runs: sweeps and checks are halved
# How long a worker may be without its lock. A worker whose link broke takes it again long before that; one that needs
# longer, because its link is slow, has told Postgres so.
_CONFIRM = timedelta(seconds=1)
_YOUNG_SECONDS = 3.0  # what broke our link may have broken the workers' links: the time they get to open new ones
_FIRST_GRACE_SECONDS = 10.0  # a worker whose link was away rests before it retries, and then needs a new link
_GRACES = 3  # leases: how long a link that keeps breaking may hold up recovery
_BATCH = 500  # jobs in one sweep, which locks their rows: other statements about these jobs wait for its end


class Recovery:
    """Sweeps once a second, and checks twice as often for workers whose link broke: those died.

    Every bridge does this. Postgres lets one sweep at a time, and to sweep twice is harmless.
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
        self._on_lost = on_lost  # a worker died, perhaps with messages it had not started
        self._lease_seconds = lease_seconds
        self._first_link: float | None = None
        self._asleep = seconds_asleep()
        self._woke_at = float("-inf")
        self._restless_since: float | None = None
        self._swept_at = self._active_at = float("-inf")
        self._watched = WatchedWorkers()

    def active(self) -> None:
        """Jobs are moving. For any thread: while none are, sweeps and checks are half as frequent."""
        self._active_at = time.monotonic()

    def step(self) -> float:
        """Check the links, and sweep when it is due; the seconds to rest."""
        slowdown = 1 if time.monotonic() - self._active_at < _QUIET_SECONDS else 2
        if self._some_were_lost() or time.monotonic() - self._swept_at >= slowdown * _SWEEP_SECONDS:
            reclaimed = self._reclaim()
            self._swept_at = time.monotonic()
            if reclaimed:
                self._on_claimable()
            if reclaimed == _BATCH:
                self._swept_at = float("-inf")
                return 0.0
        # Last: it may wait for row locks.
        if self.routing.step():
            self._on_claimable()
        if self.routing.has_more:
            return 0.0
        return _WATCH_CLOSELY_SECONDS if self._watched.without else slowdown * _WATCH_SECONDS

    def _some_were_lost(self) -> bool:
        """Check the workers' links; not while ours is young, see _YOUNG_SECONDS.

        Fewer live ones: one was declared lost, perhaps by who saw its process end. Or it has stopped, and left nothing.
        """
        self._link.open()
        if self._first_link is None:
            self._first_link = self._link.opened_at
        if time.monotonic() - self._good_since() < _YOUNG_SECONDS:
            return False
        before, self._watched = self._watched, self._queue.watch_workers(confirm=_CONFIRM)
        if self._watched.without >= before.without and self._watched.live >= before.live:
            return False
        self._on_lost()
        return True

    def _good_since(self) -> float:
        """Since when our link is open and this machine awake: leases run out while it sleeps, without heartbeats."""
        before, self._asleep = self._asleep, seconds_asleep()
        if self._asleep - before > self._lease_seconds / 2:
            self._woke_at = time.monotonic()
        return max(self._link.opened_at, self._woke_at)

    def _grace(self) -> timedelta:
        """For how long after a start of Postgres no worker is declared lost; `timedelta.max` forbids it altogether.

        It is forbidden for a lease after our own link came back: heartbeats may have failed as we did, and need that
        long. But a link that keeps breaking must not keep dead workers alive: after _GRACES leases it is allowed again.
        A bridge that has just started was perhaps never away, and waits for _FIRST_GRACE_SECONDS.
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
