"""Workers that announce an actor."""

from typing import Any
from uuid import UUID

from tests.support.steps import Steps


def announce(steps: Steps, queue: str = "reports", max_retries: Any = 5, **worker: Any) -> UUID:
    """Register a worker that announces build_report with this queue."""
    return steps.add_worker(actors={"build_report": {"queue": queue, "max_retries": max_retries}}, **worker)
