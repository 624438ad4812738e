"""The page of worker processes: what they do; drain and resume one."""

from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from bridge.web.operators import act_on_worker
from bridge.web.services import Services


def blueprint(services: Services) -> Blueprint:
    pages = Blueprint("workers", __name__, url_prefix="/workers")

    @pages.get("")
    def index() -> str:
        live = services.statistics.get()["workers"]
        return render_template("workers.html", workers=services.pool.call("list_workers"), live_workers=live)

    @pages.post("/<uuid:worker_id>/<any(drain, resume):action>")
    def act(worker_id: UUID, action: str) -> ResponseReturnValue:
        act_on_worker(services, worker_id, action, request.form.get("reason"))
        return redirect(url_for("workers.index", _anchor=f"worker-{worker_id}"))

    return pages
