"""Operations on all jobs that a filter means: planned with a count, started, and done in batches by a bridge."""

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from bridge.errors import PostgresBusyError
from bridge.job import Status
from bridge.postgres.job_filter import FilterError, JobFilter
from bridge.postgres.job_list import Call

_LISTED = 50  # operations: what a person looks through
RATE_MOST = 100_000  # jobs a second: more than any database does


class Action(StrEnum):
    RETRY = "retry"
    CANCEL = "cancel"
    REPLAY = "replay"


# What an operation acts on where its filter names no status. Completed jobs run again only where it does: nobody means
# them with "all in this queue".
_MEANT: Mapping[Action, tuple[Status, ...]] = {
    Action.RETRY: (Status.FAILED, Status.CANCELLED),
    Action.CANCEL: (Status.PENDING, Status.PROCESSING),
    Action.REPLAY: (Status.FAILED, Status.CANCELLED),
}
# What it can act on. A job that is still to run is not replayed: it would run twice.
_POSSIBLE: Mapping[Action, tuple[Status, ...]] = {
    Action.RETRY: (Status.PENDING, Status.COMPLETED, Status.FAILED, Status.CANCELLED),
    Action.CANCEL: (Status.PENDING, Status.PROCESSING),
    Action.REPLAY: (Status.COMPLETED, Status.FAILED, Status.CANCELLED),
}


def actions_for(status: Status | None) -> list[Action]:
    """What can be done to all jobs with this status; None: to jobs with any."""
    return [action for action in Action if status is None or status in _POSSIBLE[action]]


def parse_rate(text: str) -> int | None:
    """The jobs a second that a person wrote; None for nothing. Raises FilterError for what is no such number."""
    if not text.strip():
        return None
    if not re.fullmatch(r"[0-9]{1,6}", text.strip()) or not 1 <= int(text) <= RATE_MOST:
        raise FilterError(f"The jobs a second must be a number from 1 to {RATE_MOST}")
    return int(text)


def plan(call: Call, action: Action, jobs: JobFilter, *, by: str) -> int:
    """Note an operation on all of `jobs` that exist now, and count them. Returns its id, to be started with `start`.

    Raises FilterError if it cannot act on jobs with that status. If counting takes too long, the number stays unknown.
    """
    params = {
        "action": action.value,
        "filter": str(jobs),
        "conditions": json.dumps(_conditions(action, jobs)),
        "by": by,
    }
    try:
        return int(call("plan_bulk_operation", params | {"counts": True})[0]["id"])
    except PostgresBusyError:
        return int(call("plan_bulk_operation", params | {"counts": False})[0]["id"])


def start(call: Call, operation: int, *, by: str, reason: str | None, rate: int | None) -> str | None:
    """Let bridges act on it, on up to `rate` jobs a second. Returns its state; None: there is no such operation."""
    state: str | None = call("start_bulk_operation", {"id": operation, "by": by, "reason": reason, "rate": rate})[0][
        "state"
    ]
    return state


def stop(call: Call, operation: int, *, by: str) -> str | None:
    """Begin no further batch. Returns its state: `stopping` while one is under way; None: no such operation."""
    state: str | None = call("stop_bulk_operation", {"id": operation, "by": by})[0]["state"]
    return state


def show(call: Call, operation: int) -> dict[str, Any] | None:
    """One operation. `total` is how many jobs matched when it was planned, None if that is not known."""
    return next(iter(call("list_bulk_operations", {"id": operation, "limit": 1})), None)


def latest(call: Call) -> list[dict[str, Any]]:
    """The operations that were started last, the newest first."""
    return call("list_bulk_operations", {"id": None, "limit": _LISTED})


def _conditions(action: Action, jobs: JobFilter) -> dict[str, Any]:
    """The filter as Postgres reads it: see plan_bulk_operation."""
    given = {name: value for name, value in jobs.params().items() if value is not None and name != "status"}
    if jobs.older is not None:
        given["older"] = f"{jobs.older.total_seconds()} s"
    if jobs.session is not None:
        given["session"] = str(jobs.session)
    if jobs.id is not None:
        given["id"] = [str(one) for one in jobs.id]
    return given | {"statuses": _statuses(action, jobs)}


def _statuses(action: Action, jobs: JobFilter) -> list[str]:
    if jobs.status is not None:
        if jobs.status not in _POSSIBLE[action]:
            possible = ", ".join(_POSSIBLE[action])
            raise FilterError(f"status: {action} acts on jobs that are {possible}, not on {jobs.status} ones")
        return [jobs.status.value]
    # Who has chosen a completed job by hand means it.
    return [one.value for one in (_MEANT if jobs.id is None else _POSSIBLE)[action]]
