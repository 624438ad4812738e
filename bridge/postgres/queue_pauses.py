"""Pauses of queues: which there are, how to make one and how to end it."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from bridge.errors import BridgeError
from bridge.postgres.job_list import Call
from bridge.postgres.older_schema import unless_missing

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9._-]*")  # as the tables require
_NAME_MOST = 200  # characters, as the tables require


class QueueNameError(BridgeError):
    """No job can be in a queue of this name."""


@dataclass(frozen=True, slots=True)
class Pause:
    queue: str
    paused_at: datetime
    paused_by: str
    reason: str | None

    def __str__(self) -> str:
        since = f"{self.paused_at.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
        return f"paused since {since} by {self.paused_by}" + (f": {self.reason}" if self.reason else "")


def find_pauses(call: Call) -> dict[str, Pause]:
    """Queue → its pause, of each queue that is paused."""
    return {row["queue"]: Pause(**row) for row in unless_missing(lambda: call("queue_pauses", {})) or []}


def pause_queue(call: Call, queue: str, *, by: str | None, reason: str | None) -> tuple[Pause, bool]:
    """The pause that holds now, and whether this call made it: a queue that is paused keeps its pause as it is.

    `by` None is the database's role. Raises QueueNameError.
    """
    row = call("pause_queue", {"queue": _checked(queue), "by": by, "reason": reason})[0]
    return Pause(queue, row["paused_at"], row["paused_by"], row["reason"]), row["changed"]


def resume_queue(call: Call, queue: str, *, by: str | None, reason: str | None) -> Pause | None:
    """The pause that this call ended; None: the queue was not paused. Raises QueueNameError."""
    rows = call("resume_queue", {"queue": _checked(queue), "by": by, "reason": reason})
    return Pause(queue, **rows[0]) if rows else None


def is_queue_name(text: str) -> bool:
    """Whether a job can be in a queue of this name."""
    return _NAME.fullmatch(text) is not None and len(text) <= _NAME_MOST


def _checked(queue: str) -> str:
    if not is_queue_name(queue):
        raise QueueNameError(
            f"{queue[:_NAME_MOST]!r} is no name of a queue: that has a letter or _ first, then letters, digits, "
            f"'.', '_' and '-', {_NAME_MOST} characters at most"
        )
    return queue
