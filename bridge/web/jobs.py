"""The pages of jobs: search them, look at one, retry and cancel it."""

import json
import logging
import re
from dataclasses import replace
from http import HTTPStatus
from typing import Any
from uuid import UUID

from flask import Blueprint, abort, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from bridge.job import Status
from bridge.postgres.job_filter import FilterError, JobFilter, parse_filter
from bridge.postgres.job_list import SEARCHED, Page, PageError, list_jobs, parse_place
from bridge.web.services import Services

logger = logging.getLogger(__name__)

_SHOWN = 50  # jobs of a page: some screens, and a query of milliseconds
_CUT = 300  # characters of a prompt or an error in a list: some lines
_ERROR_MOST = 20_000  # characters of an error on the page of its job: the longest traceback of an actor
_EVENTS_SHOWN = 200  # the newest ones: what a person reads; the stream has them all
# Sequences that colour the text, move a cursor or set a title; and control characters but tabs and line feeds.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])|[\x00-\x08\x0b-\x1f\x7f]")
_REASON_MOST = 500  # characters: a sentence or two


def blueprint(services: Services) -> Blueprint:
    pages = Blueprint("jobs", __name__, url_prefix="/jobs")

    @pages.get("")
    def index() -> ResponseReturnValue:
        written = request.args.get("q", "")
        try:
            meant = parse_filter(written)
            after = parse_place(request.args["after"]) if "after" in request.args else None
            page = list_jobs(services.pool.call, meant, limit=_SHOWN, error_most=_CUT, after=after)
        except (FilterError, PageError) as error:
            empty = render_template("jobs.html", q=written, problem=str(error), page=Page([], None), tabs=[])
            return empty, HTTPStatus.BAD_REQUEST
        return render_template("jobs.html", q=written, page=page, tabs=_tabs(services, meant), searched=SEARCHED)

    @pages.get("/<uuid:job_id>")
    def show(job_id: UUID) -> str:
        return render_template("job.html", **_details(services, job_id))

    @pages.post("/<uuid:job_id>/<any(retry, cancel):action>")
    def act(job_id: UUID, action: str) -> ResponseReturnValue:
        reason = request.form.get("reason", "").strip()[:_REASON_MOST] or None
        asked = {"id": job_id, "by": _operator(), "reason": reason}
        status = services.pool.call(f"{action}_job", asked)[0]["status"]
        if status is None:
            abort(HTTPStatus.NOT_FOUND)
        logger.info("Job changed by an operator", extra={"jobId": str(job_id), "action": action, "by": asked["by"]})
        return redirect(url_for("jobs.show", job_id=job_id))

    return pages


def _operator() -> str:
    """Who acts, for the audit trail."""
    return "service role key" if "Authorization" in request.headers else str(session.get("user", "dashboard"))


def _tabs(services: Services, meant: JobFilter) -> list[dict[str, Any]]:
    """A tab for each status: its filter, and how many jobs that means, where counters know it."""
    counted = meant == JobFilter(status=meant.status, queue=meant.queue)
    queues = services.statistics.get()["queues"] if counted else []
    counts = [row for row in queues if meant.queue in (None, row["queue"])]
    return [
        {
            "name": status.value if status else "all",
            "q": str(replace(meant, status=status)),
            "current": status is meant.status,
            "count": sum(row[status] for row in counts) if counted and status else None,
        }
        for status in (None, *Status)
    ]


def _details(services: Services, job_id: UUID) -> dict[str, Any]:
    found = services.pool.call("show_job", {"id": job_id})
    if not found:
        abort(HTTPStatus.NOT_FOUND)
    job = found[0]
    attempts = services.pool.call("show_attempts", {"id": job_id, "error_most": _ERROR_MOST})
    events, last = _events(services, job["session_id"]) if job["session_id"] else ([], 0)
    return {
        "job": job,
        "attempts": attempts,
        "events": [event | {"text": _printed(event["data"])} for event in events],
        "last_event": last,
        "payload": _readable(job["payload"]),
        "result": _readable(job["result"]) if job["result"] is not None else None,
        "actions": _actions(Status(job["status"])),
    }


def _events(services: Services, session_id: UUID) -> tuple[list[dict[str, Any]], int]:
    """The latest events of a session in their order, and the number behind which its stream goes on."""
    found = services.pool.call("last_event_number", {"session": session_id})
    if not found:  # none, or only such as an older version stored, without numbers
        return services.pool.call("get_session_events", {"session": session_id, "limit": _EVENTS_SHOWN})[::-1], 0
    after = max(0, found[0]["last_seq"] - _EVENTS_SHOWN)
    asked = {"sessions": [session_id], "afters": [after], "limit": _EVENTS_SHOWN}
    events = services.pool.call("follow_sessions", asked)
    return events, events[-1]["seq"] if events else after


def _printed(data: Any) -> str:
    """What an event says: the text that a terminal printed, without its colours; or JSON."""
    text = data.get("output", data.get("text")) if isinstance(data, dict) else None
    return _ESCAPES.sub("", text) if isinstance(text, str) else _readable(data)


def _actions(status: Status) -> list[dict[str, str]]:
    """What an operator can do to a job of this status, in words that say what happens."""
    retry = {"action": "retry", "text": "Run again" if status is not Status.PENDING else "Run now"}
    cancel = {"action": "cancel", "text": "Cancel"}
    return {Status.PENDING: [retry, cancel], Status.PROCESSING: [cancel]}.get(status, [retry])


def _readable(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
