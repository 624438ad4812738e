"""The pages of bulk operations: plan one, start it, watch it, stop it."""

import logging
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, abort, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from bridge.postgres import bulk
from bridge.postgres.job_filter import FilterError
from bridge.web.operators import operator, storable_reason
from bridge.web.services import Services
from bridge.web.shown_jobs import ShownJobs

logger = logging.getLogger(__name__)

_ID = "<int(max=9223372036854775807):operation>"  # a bigint of Postgres
_REFRESH_SECONDS = 2  # a person sees progress, and each page costs a statement


def blueprint(services: Services) -> Blueprint:
    pages = Blueprint("bulk", __name__, url_prefix="/bulk")
    call = services.pool.call
    shown = ShownJobs(services)

    @pages.get("")
    def index() -> str:
        return render_template("bulk.html", operations=bulk.latest(call))

    @pages.post("")
    def plan() -> ResponseReturnValue:
        action = request.form.get("action", "")
        if action not in set(bulk.Action):
            abort(HTTPStatus.BAD_REQUEST)
        try:
            meant = shown.meant(request.form.get("q", ""))
            operation = bulk.plan(call, bulk.Action(action), meant, by=operator())
        except FilterError as error:
            refused = render_template("bulk.html", operations=bulk.latest(call), problem=str(error))
            return refused, HTTPStatus.BAD_REQUEST
        return redirect(url_for("bulk.show", operation=operation))

    @pages.get(f"/{_ID}")
    def show(operation: int) -> Response:
        return _page(_known(bulk.show(call, operation)))

    @pages.post(f"/{_ID}/start")
    def start(operation: int) -> ResponseReturnValue:
        try:
            rate = bulk.parse_rate(request.form.get("rate", ""))
        except FilterError as error:
            answer = _page(_known(bulk.show(call, operation)), problem=str(error))
            return answer, HTTPStatus.BAD_REQUEST
        said = storable_reason(request.form.get("reason"))
        _known(bulk.start(call, operation, by=operator(), reason=said, rate=rate))
        logger.info("Bulk operation started by an operator", extra={"operation": operation, "by": operator()})
        return redirect(url_for("bulk.show", operation=operation))

    @pages.post(f"/{_ID}/stop")
    def stop(operation: int) -> ResponseReturnValue:
        _known(bulk.stop(call, operation, by=operator()))
        logger.info("Bulk operation stopped by an operator", extra={"operation": operation, "by": operator()})
        return redirect(url_for("bulk.show", operation=operation))

    return pages


def _known(found: Any) -> Any:
    if found is None:
        abort(HTTPStatus.NOT_FOUND)
    return found


def _page(found: dict[str, Any], problem: str | None = None) -> Response:
    """One operation. While it runs, the header lets any browser load the page again, without a script."""
    is_running = found["state"] in ("running", "stopping")
    # Not what answers a form: its address is of no page.
    refreshes = is_running and problem is None and request.args.get("refresh") != "off"
    page = make_response(
        render_template("bulk_operation.html", one=found, problem=problem, is_running=is_running, refreshes=refreshes)
    )
    if refreshes:
        page.headers["Refresh"] = str(_REFRESH_SECONDS)
    return page
