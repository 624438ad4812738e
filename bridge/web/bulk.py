"""The pages of bulk operations: plan one, start it, watch it, stop it."""

from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, abort, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from bridge.postgres import bulk
from bridge.postgres.job_filter import FilterError
from bridge.web.operators import BULK_ID, known, plan_bulk, start_bulk, stop_bulk
from bridge.web.services import Services
from bridge.web.shown_jobs import ShownJobs

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
            meant = shown.meant(_filter())
            operation = plan_bulk(services, bulk.Action(action), meant)
        except FilterError as error:
            refused = render_template("bulk.html", operations=bulk.latest(call), problem=str(error))
            return refused, HTTPStatus.BAD_REQUEST
        return redirect(url_for("bulk.show", operation=operation))

    @pages.get(f"/{BULK_ID}")
    def show(operation: int) -> Response:
        return _page(known(bulk.show(call, operation)))

    @pages.post(f"/{BULK_ID}/start")
    def start(operation: int) -> ResponseReturnValue:
        try:
            rate = bulk.parse_rate(request.form.get("rate", ""))
        except FilterError as error:
            answer = _page(known(bulk.show(call, operation)), problem=str(error))
            return answer, HTTPStatus.BAD_REQUEST
        start_bulk(services, operation, rate, request.form.get("reason"))
        return redirect(url_for("bulk.show", operation=operation))

    @pages.post(f"/{BULK_ID}/stop")
    def stop(operation: int) -> ResponseReturnValue:
        stop_bulk(services, operation)
        return redirect(url_for("bulk.show", operation=operation))

    return pages


def _filter() -> str:
    """The filter that the form asks for: of all jobs that match, or of those that were chosen one by one."""
    if "chosen" not in request.form:
        return request.form.get("q", "")
    ids = request.form.getlist("id")
    if not ids:
        raise FilterError("No job is selected: tick the boxes of some on the page of jobs")
    return f"id:{','.join(ids)}"


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
