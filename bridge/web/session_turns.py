"""The sessions API after the start: prompts, answers, going on, stopping, and what a session costs."""

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, jsonify, request

from bridge.postgres import session_requests
from bridge.postgres.job_list import Call
from bridge.postgres.pool import Pool
from bridge.postgres.session_requests import (
    Accepted,
    InboxFullError,
    NoSuchSessionError,
    SessionExpiredError,
    SessionStateError,
)
from bridge.web.idempotency import Keyed, answer_once
from bridge.web.services import Services
from bridge.web.session_api import (
    SessionRequest,
    asked_session,
    body_of_request,
    new_blueprint,
    session_id_of,
    user_of_request,
)
from bridge.web.start_request import RequestError, read_key, read_object, read_text

logger = logging.getLogger(__name__)

_STATUSES = {
    NoSuchSessionError: HTTPStatus.NOT_FOUND,
    SessionExpiredError: HTTPStatus.GONE,
    SessionStateError: HTTPStatus.CONFLICT,
    InboxFullError: HTTPStatus.TOO_MANY_REQUESTS,
}
_RETRY_SECONDS = 30  # a turn takes minutes
_ANSWER_LEAST = 1  # characters: "2" may be one


def blueprint(services: Services) -> Blueprint:
    pages = new_blueprint("session_turns")
    call = services.pool.call

    def order(*fields: str) -> tuple[SessionRequest, dict[str, Any]]:
        user = user_of_request(services)
        given = read_object(body_of_request(), {"sessionId", *fields})
        return SessionRequest(session_id_of(given.get("sessionId")), user), given

    @pages.post("/send-session-prompt")
    @_refusing
    def send_session_prompt() -> tuple[Response, int]:
        asked, given = order("prompt")
        prompt = read_text(given.get("prompt"), "Prompt", least=_ANSWER_LEAST)
        what = f"send\n{asked.session_id}\n{prompt}"
        return _once(services.pool, asked, what, lambda one: session_requests.send_prompt(one, *asked, prompt))

    @pages.post("/answer-session-question")
    @_refusing
    def answer_session_question() -> tuple[Response, int]:
        asked, given = order("answer", "callId")
        answer = read_text(given.get("answer"), "Answer", least=_ANSWER_LEAST)
        call_id = given.get("callId")
        if call_id is not None:
            call_id = read_text(call_id, "callId", least=_ANSWER_LEAST)
        accepted = session_requests.answer_question(call, *asked, call_id, answer)
        return _answer(_accepted(asked, accepted), is_new=True)

    @pages.post("/continue-session")
    @_refusing
    def continue_session() -> tuple[Response, int]:
        asked, _ = order()
        what = f"continue\n{asked.session_id}"
        return _once(services.pool, asked, what, lambda one: session_requests.continue_session(one, *asked))

    @pages.post("/cancel-session")
    @_refusing
    def cancel_session() -> tuple[Response, int]:
        asked, _ = order()
        cancelled = session_requests.cancel_session(call, *asked, by=f"user {asked.user}")
        logger.info("Coding session cancelled", extra={"sessionId": str(asked.session_id), "jobs": cancelled})
        return jsonify(success=True, data={"sessionId": str(asked.session_id), "cancelledJobs": cancelled}), 200

    @pages.get("/get-session-turn")
    @_refusing
    def get_session_turn() -> tuple[Response, int]:
        turn = session_requests.session_turn(call, *asked_session(services))
        data = {"turn": turn["turn"], "state": turn["turn_state"], "question": turn["question"],
                "progress": turn["progress"], "waitingPrompts": turn["waiting"]}  # fmt: skip
        return jsonify(success=True, data=data), 200

    @pages.get("/get-session-usage")
    @_refusing
    def get_session_usage() -> tuple[Response, int]:
        used = session_requests.session_usage(call, *asked_session(services))
        settings = services.settings
        data = {
            "requests": used["requests"],
            "inputTokens": used["input_tokens"],
            "outputTokens": used["output_tokens"],
            "cacheWriteTokens": used["cache_write_tokens"],
            "cacheReadTokens": used["cache_read_tokens"],
            "turnUsd": float(used["turn_usd"]),
            "sessionUsd": float(used["session_usd"]),
            "userDayUsd": float(used["day_usd"]),
            "budgetsUsd": {
                "turn": settings.turn_budget_usd,
                "session": settings.session_budget_usd,
                "userDay": settings.user_daily_budget_usd,
            },
        }
        return jsonify(success=True, data=data), 200

    return pages


def _refusing(view: Callable[[], tuple[Response, int]]) -> Callable[[], tuple[Response, int]]:
    """A view whose refusals by the database get their HTTP status."""

    @wraps(view)
    def refusing() -> tuple[Response, int]:
        with _translated():
            return view()

    return refusing


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except tuple(_STATUSES) as error:
        status = _STATUSES[type(error)]
        retry = _RETRY_SECONDS if status == HTTPStatus.TOO_MANY_REQUESTS else None
        raise RequestError(str(error), status, retry) from None


def _once(pool: Pool, asked: SessionRequest, what: str, make: Callable[[Call], Accepted]) -> tuple[Response, int]:
    """Do `what` is asked for; a request that is sent again with its Idempotency-Key gets the answer of the first.

    No order of a session has the text of such a `what`: it begins with a project's id.
    """
    key = read_key(request.headers.get("Idempotency-Key"))
    if key is None:
        return _answer(_accepted(asked, make(pool.call)), is_new=True)
    keyed = Keyed(asked.user, key, hashlib.sha256(what.encode()).digest())
    data, is_new = answer_once(pool, keyed, lambda held: _accepted(asked, make(partial(pool.on, held))))
    return _answer(data, is_new=is_new)


def _accepted(asked: SessionRequest, accepted: Accepted) -> dict[str, Any]:
    job_id = None if accepted.job_id is None else str(accepted.job_id)
    return {"sessionId": str(asked.session_id), "jobId": job_id, "answersQuestion": accepted.answers}


def _answer(data: dict[str, Any], *, is_new: bool) -> tuple[Response, int]:
    """201: a job was inserted. 202: the turn that is under way takes it."""
    job_id = data["jobId"]
    if is_new:
        logger.info("Coding session goes on", extra={"sessionId": data["sessionId"], "jobId": job_id or "(at work)"})
    return jsonify(success=True, data=data), HTTPStatus.CREATED if job_id else HTTPStatus.ACCEPTED
