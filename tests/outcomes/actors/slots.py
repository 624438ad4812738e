"""Shows that all slots of the worker work: so many jobs run at the same time."""

import threading

from bridge import Job, actor

_barriers: dict[str, threading.Barrier] = {}
_lock = threading.Lock()


@actor(max_retries=20)
def meets(job: Job) -> None:
    """Ends when `parties` jobs of one `meeting` run beside each other, or after a while in an error."""
    with _lock:
        barrier = _barriers.get(job.payload["meeting"])
        if barrier is None or barrier.broken:
            barrier = _barriers[job.payload["meeting"]] = threading.Barrier(job.payload["parties"])
    barrier.wait(10)
