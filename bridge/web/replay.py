"""Runs a copy of a job, with the payload and prompt that its form has."""

import logging
from http import HTTPStatus
from typing import Any
from uuid import UUID

from flask import Blueprint, abort, redirect, request, url_for
from flask.typing import ResponseReturnValue

from bridge.errors import PayloadError
from bridge.postgres.json_text import parse_object, storable_text, to_json
from bridge.web.jobs import job_page, readable
from bridge.web.operators import operator, storable_reason
from bridge.web.services import Services
from bridge.web.shown_jobs import ShownJobs

logger = logging.getLogger(__name__)


def blueprint(services: Services) -> Blueprint:
    pages = Blueprint("replay", __name__)
    shown = ShownJobs(services)

    @pages.post("/jobs/<uuid:job_id>/replay")
    def replay(job_id: UUID) -> ResponseReturnValue:
        found = services.pool.call("show_job", {"id": job_id})
        if not found:
            abort(HTTPStatus.NOT_FOUND)
        try:
            asked = _changes(found[0]) | {"id": job_id, "copy": _copy(), "by": operator(), "reason": _reason()}
        except PayloadError as error:
            problem = f"Payload: {error}"
            return job_page(shown, job_id, typed=request.form.to_dict(), problem=problem), HTTPStatus.BAD_REQUEST
        copy = services.pool.call("replay_job", asked)[0]["copy"]
        if copy is None:  # deleted meanwhile
            abort(HTTPStatus.NOT_FOUND)
        logger.info("Job replayed by an operator", extra={"jobId": str(job_id), "copy": str(copy), "by": asked["by"]})
        return redirect(url_for("jobs.show", job_id=copy))

    return pages


def _reason() -> str | None:
    return storable_reason(request.form.get("reason"))


def _copy() -> UUID | None:
    """The id that the copy gets. It comes with the form: one that is sent twice makes one copy."""
    try:
        return UUID(request.form["copy"]) if "copy" in request.form else None
    except ValueError:
        abort(HTTPStatus.BAD_REQUEST)


def _changes(job: dict[str, Any]) -> dict[str, str | None]:
    """What the form changes. None: it stays exactly as it is, which reading and writing JSON would not give."""
    payload, prompt = (_typed(name) for name in ("payload", "prompt"))
    return {
        "payload": None if payload in (None, readable(job["payload"])) else to_json(parse_object(payload), "payload"),
        "prompt": None if prompt in (None, _plain_lines(job["prompt"] or "")) else storable_text(prompt),
    }


def _typed(name: str) -> str | None:
    return _plain_lines(request.form[name]) if name in request.form else None


def _plain_lines(text: str) -> str:
    return text.replace("\r\n", "\n")  # as browsers send lines
