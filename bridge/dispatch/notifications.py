"""Notifications of new jobs: what the log shows of them, and how urgent they say a job is."""

import json


def log_fields(payload: str) -> dict[str, object]:
    """The fields for the log of a notification; none when it cannot be read.

    Anybody who may connect to the database can send one, so nothing that matters depends on its contents.
    """
    try:
        note = json.loads(payload)
        if "count" in note:
            return {"jobs": int(note["count"])}
        session = note["session_id"]
        return {"jobId": str(note["job_id"])[:36], "sessionId": None if session is None else str(session)[:36]}
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return {}


def priority(payload: str) -> int | None:
    """The priority of the one new job; None when there are several, or it cannot be read. A hint: see `log_fields`."""
    try:
        return int(json.loads(payload)["priority"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
