"""Notifications of new jobs, as far as the log shows them."""

import json


def log_fields(payload: str) -> dict[str, object]:
    """The fields for the log of a notification; none when it cannot be read.

    Anybody who may connect to the database can send one, so its contents are logged and used for nothing else.
    """
    try:
        note = json.loads(payload)
        if "count" in note:
            return {"jobs": int(note["count"])}
        session = note["session_id"]
        return {"jobId": str(note["job_id"])[:36], "sessionId": None if session is None else str(session)[:36]}
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return {}
