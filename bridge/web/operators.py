"""What operators do, by the pages and by the API: with a row in the audit trail and a line in the log."""

import logging
import re
from http import HTTPStatus
from typing import Any, NamedTuple
from uuid import UUID

from flask import abort, g, session

from bridge.postgres.json_text import storable_text, to_json
from bridge.postgres.queue_pauses import pause_queue, resume_queue
from bridge.web.services import Services

logger = logging.getLogger(__name__)

REASON_MOST = 500  # characters: a sentence or two
_NOT_STORED = re.compile("[\x00\ud800-\udfff]")  # characters that Postgres has no place for


def act_on_job(services: Services, job_id: UUID, action: str, reason: str | None) -> str:
    """Retry or cancel a job; its status afterwards. Answers 404 if there is no such job."""
    asked: dict[str, Any] = {"id": job_id, "by": operator(), "reason": storable_reason(reason)}
    status = services.pool.call(f"{action}_job", asked)[0]["status"]
    if status is None:
        abort(HTTPStatus.NOT_FOUND)
    logger.info("Job changed by an operator", extra={"jobId": str(job_id), "action": action, "by": asked["by"]})
    return str(status)


class Copy(NamedTuple):
    """A job to be made from another one, with that one's payload and prompt where these are None.

    `id`: of the new job. With one that is given, there is one copy however often it is asked for.
    """

    payload: dict[str, Any] | None
    prompt: str | None
    id: UUID | None


def replay_job(services: Services, job_id: UUID, copy: Copy, reason: str | None) -> UUID:
    """Run a copy of a job; its id. Raises PayloadError. Answers 404 if there is no such job."""
    asked = {
        "id": job_id,
        "payload": None if copy.payload is None else to_json(copy.payload, "payload"),
        "prompt": None if copy.prompt is None else storable_text(copy.prompt),
        "copy": copy.id,
        "by": operator(),
        "reason": storable_reason(reason),
    }
    made: UUID | None = services.pool.call("replay_job", asked)[0]["copy"]
    if made is None:
        abort(HTTPStatus.NOT_FOUND)
    logger.info("Job replayed by an operator", extra={"jobId": str(job_id), "copy": str(made), "by": asked["by"]})
    return made


def act_on_queue(services: Services, queue: str, action: str, reason: str | None) -> None:
    """Pause or resume a queue. Raises QueueNameError."""
    act = {"pause": pause_queue, "resume": resume_queue}[action]
    by = operator()
    act(services.pool.call, queue, by=by, reason=storable_reason(reason))
    logger.info("Queue changed by an operator", extra={"queue": queue, "action": action, "by": by})


def storable_reason(reason: str | None) -> str | None:
    """What was given as the reason, if anything, as the audit trail can store it."""
    return _NOT_STORED.sub("", reason or "").strip()[:REASON_MOST] or None


def operator() -> str:
    """Who acts, for the audit trail."""
    return "service role key" if g.has_service_key else str(session.get("user", "dashboard"))
