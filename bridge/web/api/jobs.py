"""/api/jobs: list them, read one, retry, cancel and replay it."""

from http import HTTPStatus
from uuid import UUID

from flask import Blueprint, abort, jsonify, request
from flask.typing import ResponseReturnValue

from bridge.postgres.job_list import PageError
from bridge.web.api.answers import BodyError, body, new_blueprint, plain, reason
from bridge.web.operators import Copy, act_on_job, replay_job
from bridge.web.services import Services
from bridge.web.shown_jobs import ShownJobs

_LIMIT, _LIMIT_MOST = 50, 500  # jobs of one answer: a page's, and what is still small and read within milliseconds


def blueprint(services: Services) -> Blueprint:
    api = new_blueprint("jobs")
    shown = ShownJobs(services)

    @api.get("/jobs")
    def jobs() -> ResponseReturnValue:
        _, page = shown.search(request.args.get("q", ""), limit=_limit(), after=request.args.get("after"))
        return jsonify(jobs=plain(page.jobs), next=None if page.next is None else str(page.next), note=page.note)

    @api.get("/jobs/<uuid:job_id>")
    def job(job_id: UUID) -> ResponseReturnValue:
        found = shown.job(job_id)
        if found is None:
            abort(HTTPStatus.NOT_FOUND)
        return jsonify(plain(found | {"attempts": shown.attempts(job_id)}))

    @api.post("/jobs/<uuid:job_id>/<any(retry, cancel):action>")
    def act(job_id: UUID, action: str) -> ResponseReturnValue:
        return jsonify(status=act_on_job(services, job_id, action, reason()))

    @api.post("/jobs/<uuid:job_id>/replay")
    def replay(job_id: UUID) -> ResponseReturnValue:
        asked = body(payload=dict, prompt=str, copy=str)
        copy = Copy(asked.get("payload"), asked.get("prompt"), _new_id(asked.get("copy")))
        return jsonify(copy=str(replay_job(services, job_id, copy, asked.get("reason"))))

    return api


def _new_id(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise BodyError("copy must be a UUID") from None


def _limit() -> int:
    written = request.args.get("limit", str(_LIMIT))
    if not written.isascii() or not written.isdecimal() or not 1 <= int(written[:9]) <= _LIMIT_MOST:
        raise PageError(f"limit must be a number from 1 to {_LIMIT_MOST}")
    return int(written)
