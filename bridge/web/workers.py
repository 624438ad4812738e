"""The page of worker processes."""

from flask import Blueprint, render_template

from bridge.web.services import Services


def blueprint(services: Services) -> Blueprint:
    pages = Blueprint("workers", __name__, url_prefix="/workers")

    @pages.get("")
    def index() -> str:
        live = services.statistics.get()["workers"]
        return render_template("workers.html", workers=services.pool.call("list_workers"), live_workers=live)

    return pages
