"""The pages of coding sessions: their list, and the conversation of one; answer, go on, send a prompt and cancel."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from uuid import UUID

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from bridge.postgres import session_requests
from bridge.postgres.job_list import Call, PageError
from bridge.postgres.session_list import SessionPage
from bridge.postgres.session_requests import (
    InboxFullError,
    NoSuchSessionError,
    SessionExpiredError,
    SessionStateError,
)
from bridge.web.operators import act_on_session, operator
from bridge.web.services import Services
from bridge.web.shown_sessions import ShownSessions
from bridge.web.start_request import PROMPT_MOST, RequestError, read_text

_NO_LIST = "Sessions cannot be listed: the database has the schema of an older version. Run: mobvibe migrate up"
_FIRST = 1  # the number of the first event
_LARGEST = 2**63 - 1  # Postgres' largest bigint
_FUNCTIONS = {"prompt": "send_prompt", "answer": "answer_question", "continue": "continue_session",
              "cancel": "cancel_session"}  # fmt: skip


def blueprint(services: Services) -> Blueprint:
    pages = Blueprint("session_pages", __name__, url_prefix="/sessions")
    shown = ShownSessions(services)

    @pages.get("")
    def index() -> ResponseReturnValue:
        try:
            page, problem = shown.list(request.args.get("after")), _NO_LIST
        except PageError as error:
            page, problem = None, str(error)
        listed = page or SessionPage([], None)
        text = render_template("sessions.html", page=listed, problem=None if page else problem)
        return text, HTTPStatus.OK if page or problem == _NO_LIST else HTTPStatus.BAD_REQUEST

    @pages.get("/<uuid:session_id>")
    def show(session_id: UUID) -> str:
        if request.args.get("part") == "state":
            return _page(shown, session_id, with_conversation=False)
        before = request.args.get("before", type=int)
        if before is not None and not _FIRST < before <= _LARGEST:
            abort(HTTPStatus.NOT_FOUND)
        return _page(shown, session_id, before=before)

    @pages.post("/<uuid:session_id>/<any(prompt, answer, continue, cancel):action>")
    def act(session_id: UUID, action: str) -> ResponseReturnValue:
        try:
            act_on_session(services, session_id, _FUNCTIONS[action], _asked(session_id, action))
        except NoSuchSessionError:
            abort(HTTPStatus.NOT_FOUND)
        except RequestError as error:
            return _page(shown, session_id, problem=str(error)), error.status
        except (SessionExpiredError, SessionStateError, InboxFullError) as error:
            return _page(shown, session_id, problem=str(error)), HTTPStatus.CONFLICT
        return redirect(url_for("session_pages.show", session_id=session_id, _anchor="latest"))

    return pages


def _asked(session_id: UUID, action: str) -> Callable[[Call], Any]:
    """What the form asks for. Raises RequestError for a text that is empty or too long."""
    form = request.form
    if action == "prompt":
        prompt = read_text(form.get("prompt"), "Prompt", least=1)
        return lambda call: session_requests.send_prompt(call, session_id, None, prompt)
    if action == "answer":
        answer, call_id = read_text(form.get("answer"), "Answer", least=1), form.get("call") or None
        return lambda call: session_requests.answer_question(call, session_id, None, call_id, answer)
    if action == "continue":
        return lambda call: session_requests.continue_session(call, session_id, None)
    by = operator()
    return lambda call: session_requests.cancel_session(call, session_id, None, by)


def _page(
    shown: ShownSessions,
    session_id: UUID,
    *,
    before: int | None = None,
    with_conversation: bool = True,
    problem: str | None = None,
) -> str:
    session = shown.state(session_id)
    if session is None:
        abort(HTTPStatus.NOT_FOUND)
    is_told = with_conversation and not shown.hides_prompts
    return render_template(
        "session.html",
        session=session,
        told=shown.told(session_id, before, goes_on=bool(session["open_jobs"])) if is_told else None,
        before=before,
        problem=problem,
        typed=request.form.get("prompt", ""),
        hides_prompts=shown.hides_prompts,
        most=PROMPT_MOST,
    )
