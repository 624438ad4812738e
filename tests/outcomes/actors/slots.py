"""Shows that no slot of the worker is lost: as many jobs as it has slots run at the same time."""

import threading

from bridge import Job, actor

_barriers: dict[str, threading.Barrier] = {}
_lock = threading.Lock()


@actor(max_retries=20)
def meets(job: Job) -> None:
    """Return when `parties` jobs of one `meeting` run at the same time; raise if they do not in time."""
    with _lock:
        barrier = _barriers.get(job.payload["meeting"])
        if barrier is None or barrier.broken:
            barrier = _barriers[job.payload["meeting"]] = threading.Barrier(job.payload["parties"])
    barrier.wait(10)
