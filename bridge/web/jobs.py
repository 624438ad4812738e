"""The pages of jobs: search them, look at one, retry and cancel it. replay.py runs a copy of one."""

import json
from dataclasses import replace
from http import HTTPStatus
from typing import Any
from urllib.parse import quote_plus
from uuid import UUID, uuid4

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from bridge.job import Status
from bridge.postgres.bulk import actions_for
from bridge.postgres.job_filter import LONGEST, FilterError, JobFilter
from bridge.postgres.job_list import SEARCHED, Page, PageError
from bridge.postgres.older_schema import unless_missing
from bridge.web.operators import act_on_job
from bridge.web.services import Services
from bridge.web.shown_jobs import ShownJobs
from bridge.web.terminal_text import coloured

_SHOWN = 50  # jobs of a page: some screens, and a query of milliseconds
_NO_LIST = (
    "Jobs cannot be listed: the database has the schema of an older version. Run: mobvibe migrate up. "
    "The counts are right, and the page of a job (/jobs/ID) shows it"
)
_EDITED_MOST = 24_000  # bytes of a text in a form: two of them, and what is typed, fit into a body (whole_requests.py)


def blueprint(services: Services) -> Blueprint:
    pages = Blueprint("jobs", __name__, url_prefix="/jobs")
    shown = ShownJobs(services)

    @pages.get("")
    def index() -> ResponseReturnValue:
        written = request.args.get("q", "")
        try:
            meant = shown.meant(written)
            found = unless_missing(lambda: shown.search(written, limit=_SHOWN, after=request.args.get("after")))
        except (FilterError, PageError) as error:
            empty = render_template(
                "jobs.html", q=written, problem=str(error), page=Page([], None), tabs=[], longest=LONGEST
            )
            return empty, HTTPStatus.BAD_REQUEST
        tabs = _tabs(services, meant)
        if found is None:
            return render_template(
                "jobs.html", q=written, meant=meant, problem=_NO_LIST, page=Page([], None), tabs=tabs
            )
        _, page = found
        matching = next((tab["count"] for tab in tabs if tab["current"]), None)
        actions = actions_for(meant.status)
        return render_template(
            "jobs.html",
            q=written,
            meant=meant,
            page=page,
            tabs=tabs,
            searched=SEARCHED,
            actions=actions,
            matching=matching,
            longest=LONGEST,
        )

    @pages.get("/<uuid:job_id>")
    def show(job_id: UUID) -> str:
        return job_page(shown, job_id)

    @pages.post("/<uuid:job_id>/<any(retry, cancel):action>")
    def act(job_id: UUID, action: str) -> ResponseReturnValue:
        act_on_job(services, job_id, action, request.form.get("reason"))
        return redirect(url_for("jobs.show", job_id=job_id))

    return pages


def job_page(shown: ShownJobs, job_id: UUID, typed: dict[str, str] | None = None, problem: str | None = None) -> str:
    """The page of one job. `typed`: what stands in its form for a replay, and `problem` what is wrong with that."""
    details = _details(shown, job_id)
    texts = {} if shown.hides_prompts else {"payload": details["payload"], "prompt": details["job"]["prompt"] or ""}
    unchanged = {name: text for name, text in texts.items() if len(quote_plus(text)) <= _EDITED_MOST}
    fresh = unchanged | {"copy": str(uuid4()), "reason": ""}
    return render_template("job.html", **details, typed=typed or fresh, problem=problem)


def _tabs(services: Services, meant: JobFilter) -> list[dict[str, Any]]:
    """A tab for each status: its filter, and how many jobs that means, where counters know it."""
    counted = meant == JobFilter(status=meant.status, queue=meant.queue)
    queues = services.statistics.get()["queues"] if counted else []
    counts = [row for row in queues if meant.queue in (None, row["queue"])]
    return [
        {
            "name": status.value if status else "all",
            "q": str(replace(meant, status=status, fingerprint=meant.fingerprint if status is Status.FAILED else None)),
            "current": status is meant.status,
            "count": sum(row[status] for row in counts) if counted and status else None,
        }
        for status in (None, *Status)
    ]


def _details(shown: ShownJobs, job_id: UUID) -> dict[str, Any]:
    job = shown.job(job_id)
    if job is None:
        abort(HTTPStatus.NOT_FOUND)
    follows = job["session_id"] and not shown.hides_prompts
    events, last = shown.events(job["session_id"]) if follows else ([], 0)
    return {
        "job": job,
        "unended": job["status"] in {Status.PENDING, Status.PROCESSING},
        "pause": shown.pause(job["queue"]) if job["status"] == Status.PENDING else None,
        "attempts": shown.attempts(job_id),
        "audit": shown.audit(job_id),
        "follows": follows,
        "events": [event | {"text": _printed(event["data"])} for event in events],
        "last_event": last,
        "payload": None if shown.hides_prompts else readable(job["payload"]),
        "result": readable(job["result"]) if job["result"] is not None else None,
        "hides_prompts": shown.hides_prompts,
        "actions": _actions(Status(job["status"])),
    }


def _printed(data: Any) -> str:
    """What an event says: the text that a terminal printed, in its colours; or JSON."""
    text = data.get("output", data.get("text")) if isinstance(data, dict) else None
    return coloured(text) if isinstance(text, str) else readable(data)


def _actions(status: Status) -> list[dict[str, str]]:
    """What an operator can do to a job of this status, in words that say what happens."""
    retry = {"action": "retry", "text": "Run again" if status is not Status.PENDING else "Run now"}
    cancel = {"action": "cancel", "text": "Cancel"}
    return {Status.PENDING: [retry, cancel], Status.PROCESSING: [cancel]}.get(status, [retry])


def readable(value: Any) -> str:
    """JSON as the pages show it."""
    return json.dumps(value, indent=2, ensure_ascii=False)
