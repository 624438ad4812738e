"""What operators do, by the pages and by the API: with a row in the audit trail and a line in the log."""

import logging
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from flask import abort, g, session

from bridge.postgres import bulk
from bridge.postgres.job_filter import JobFilter
from bridge.postgres.job_list import Call
from bridge.postgres.json_text import NOT_STORABLE, storable_text, to_json
from bridge.postgres.queue_pauses import pause_queue, resume_queue
from bridge.web.services import Services

logger = logging.getLogger(__name__)

REASON_MOST = 500  # characters: a sentence or two
BULK_ID = "<int(max=9223372036854775807):operation>"  # in addresses: a bigint of Postgres
Found = TypeVar("Found")


def act_on_job(services: Services, job_id: UUID, action: str, reason: str | None) -> str:
    """Retry or cancel a job; its status afterwards. Answers 404 if there is no such job."""
    asked: dict[str, Any] = {"id": job_id, "by": operator(), "reason": storable_reason(reason)}
    status = known(services.pool.call(f"{action}_job", asked)[0]["status"])
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
    made: UUID = known(services.pool.call("replay_job", asked)[0]["copy"])
    logger.info("Job replayed by an operator", extra={"jobId": str(job_id), "copy": str(made), "by": asked["by"]})
    return made


def act_on_queue(services: Services, queue: str, action: str, reason: str | None) -> None:
    """Pause or resume a queue. Raises QueueNameError."""
    act = {"pause": pause_queue, "resume": resume_queue}[action]
    by = operator()
    act(services.pool.call, queue, by=by, reason=storable_reason(reason))
    logger.info("Queue changed by an operator", extra={"queue": queue, "action": action, "by": by})


def act_on_worker(services: Services, worker_id: UUID, action: str, reason: str | None) -> bool:
    """Drain or resume a worker process; whether it is to drain now. Answers 404 if no such process is registered."""
    asked: dict[str, Any] = {"worker": worker_id, "by": operator(), "reason": storable_reason(reason)}
    draining = known(services.pool.call(f"{action}_worker", asked)[0]["draining"])
    logger.info("Worker changed by an operator", extra={"worker": str(worker_id), "action": action, "by": asked["by"]})
    return bool(draining)


def act_on_session(services: Services, session_id: UUID, action: str, act: Callable[[Call], Found]) -> Found:
    """What `act` returns, and a row in the audit trail in the same transaction. `action` names the SQL function."""
    asked = {"action": action, "target": str(session_id), "by": operator()}
    with services.pool.connection() as connection, connection.transaction():
        done = act(partial(services.pool.on, connection))
        services.pool.on(connection, "note_operator", asked)
    logger.info("Session changed by an operator", extra={"sessionId": str(session_id)} | asked)
    return done


def plan_bulk(services: Services, action: bulk.Action, jobs: JobFilter) -> int:
    """Plan an operation on all of `jobs`; its id. Raises FilterError."""
    return bulk.plan(services.pool.call, action, jobs, by=operator())


def start_bulk(services: Services, operation: int, rate: int | None, reason: str | None) -> str:
    """Start a planned operation; its state. Answers 404 if there is no such operation."""
    said = storable_reason(reason)
    state = known(bulk.start(services.pool.call, operation, by=operator(), reason=said, rate=rate))
    logger.info("Bulk operation started by an operator", extra={"operation": operation, "by": operator()})
    return str(state)


def stop_bulk(services: Services, operation: int) -> str:
    """Begin no further batch; the operation's state. Answers 404 if there is no such operation."""
    state = known(bulk.stop(services.pool.call, operation, by=operator()))
    logger.info("Bulk operation stopped by an operator", extra={"operation": operation, "by": operator()})
    return str(state)


def known(found: Found | None) -> Found:
    """What was found. Answers 404 if nothing was."""
    if found is None:
        abort(HTTPStatus.NOT_FOUND)
    return found


def storable_reason(reason: str | None) -> str | None:
    """What was given as the reason, if anything, as the audit trail can store it."""
    return NOT_STORABLE.sub("", reason or "").strip()[:REASON_MOST] or None


def operator() -> str:
    """Who acts, for the audit trail."""
    return "service role key" if g.has_service_key else str(session.get("user", "dashboard"))
