"""Runs a copy of a job, with the payload and prompt that its form has."""

from http import HTTPStatus
from typing import Any
from uuid import UUID

from flask import Blueprint, abort, redirect, request, url_for
from flask.typing import ResponseReturnValue

from bridge.errors import PayloadError
from bridge.postgres.json_text import parse_object
from bridge.web.jobs import job_page, readable
from bridge.web.operators import Copy, replay_job
from bridge.web.services import Services
from bridge.web.shown_jobs import ShownJobs


def blueprint(services: Services) -> Blueprint:
    pages = Blueprint("replay", __name__)
    shown = ShownJobs(services)

    @pages.post("/jobs/<uuid:job_id>/replay")
    def replay(job_id: UUID) -> ResponseReturnValue:
        found = services.pool.call("show_job", {"id": job_id})
        if not found:
            abort(HTTPStatus.NOT_FOUND)
        try:
            copy = replay_job(services, job_id, _copy(found[0]), request.form.get("reason"))
        except PayloadError as error:
            problem = f"Payload: {error}"
            return job_page(shown, job_id, typed=request.form.to_dict(), problem=problem), HTTPStatus.BAD_REQUEST
        return redirect(url_for("jobs.show", job_id=copy))

    return pages


def _copy(job: dict[str, Any]) -> Copy:
    """What the form asks for. What it leaves alone stays exactly so: reading and writing JSON would change it."""
    payload, prompt = (_typed(name) for name in ("payload", "prompt"))
    return Copy(
        None if payload in (None, readable(job["payload"])) else parse_object(payload),
        None if prompt in (None, _plain_lines(job["prompt"] or "")) else prompt,
        _new_id(),
    )


def _new_id() -> UUID | None:
    """The id that the copy gets. It comes with the form: one that is sent twice makes one copy."""
    try:
        return UUID(request.form["copy"]) if "copy" in request.form else None
    except ValueError:
        abort(HTTPStatus.BAD_REQUEST)


def _typed(name: str) -> str | None:
    return _plain_lines(request.form[name]) if name in request.form else None


def _plain_lines(text: str) -> str:
    return text.replace("\r\n", "\n")  # as browsers send lines
