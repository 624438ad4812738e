"""The JSON API: what the pages show and do, for scripts. static/openapi.json describes it."""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, abort, current_app, jsonify, request
from flask.typing import ResponseReturnValue

from bridge.postgres.job_filter import FilterError
from bridge.postgres.job_list import PageError
from bridge.web.operators import act_on_job
from bridge.web.services import Services
from bridge.web.shown_jobs import ShownJobs

_LIMIT, _LIMIT_MOST = 50, 500  # jobs of one answer: a page's, and what is still small and read within milliseconds


def blueprint(services: Services) -> Blueprint:
    api = Blueprint("api", __name__, url_prefix="/api")
    shown = ShownJobs(services)

    @api.get("/jobs")
    def jobs() -> ResponseReturnValue:
        try:
            _, page = shown.search(request.args.get("q", ""), limit=_limit(), after=request.args.get("after"))
        except (FilterError, PageError) as error:
            return _refused(str(error))
        return jsonify(jobs=plain(page.jobs), next=None if page.next is None else str(page.next))

    @api.get("/jobs/<uuid:job_id>")
    def job(job_id: UUID) -> ResponseReturnValue:
        found = shown.job(job_id)
        if found is None:
            abort(HTTPStatus.NOT_FOUND)
        return jsonify(plain(found | {"attempts": shown.attempts(job_id)}))

    @api.post("/jobs/<uuid:job_id>/<any(retry, cancel):action>")
    def act(job_id: UUID, action: str) -> ResponseReturnValue:
        asked = request.get_json(silent=True) if request.data else {}
        if not isinstance(asked, dict) or not isinstance(asked.get("reason", ""), str):
            return _refused('The body must be JSON such as {"reason": "…"}, or empty')
        return jsonify(status=act_on_job(services, job_id, action, asked.get("reason")))

    @api.get("/workers")
    def workers() -> ResponseReturnValue:
        return jsonify(workers=plain(services.pool.call("list_workers")))

    @api.get("/openapi.json")
    def openapi() -> Response:
        return current_app.send_static_file("openapi.json")

    return api


def _limit() -> int:
    written = request.args.get("limit", str(_LIMIT))
    if not written.isascii() or not written.isdecimal() or not 1 <= int(written[:9]) <= _LIMIT_MOST:
        raise PageError(f"limit must be a number from 1 to {_LIMIT_MOST}")
    return int(written)


def _refused(reason: str) -> ResponseReturnValue:
    return jsonify(success=False, error=reason), HTTPStatus.BAD_REQUEST


def plain(value: Any) -> Any:
    """A value of Postgres as JSON has it: times in ISO 8601 and UTC, durations in seconds, ids as text."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value) if isinstance(value, UUID) else value
