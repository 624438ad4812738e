"""Background jobs from Postgres, run by Dramatiq workers.

The public names are imported on first use, so that importing the package is cheap and opens no connection.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bridge.actor_decorator import actor as actor
    from bridge.errors import Fail as Fail
    from bridge.errors import NotOursError as NotOursError
    from bridge.errors import Release as Release
    from bridge.errors import Retry as Retry
    from bridge.job import Job as Job
    from bridge.job import current_job as current_job
    from bridge.postgres.enqueue import enqueue as enqueue
    from bridge.postgres.job_queue import JobQueue as JobQueue

_HOME = {
    "actor": "bridge.actor_decorator",
    "Fail": "bridge.errors",
    "NotOursError": "bridge.errors",
    "Release": "bridge.errors",
    "Retry": "bridge.errors",
    "Job": "bridge.job",
    "current_job": "bridge.job",
    "JobQueue": "bridge.postgres.job_queue",
    "enqueue": "bridge.postgres.enqueue",
}

__all__ = ["Fail", "Job", "JobQueue", "NotOursError", "Release", "Retry", "actor", "current_job", "enqueue"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'bridge' has no attribute {name!r}")
