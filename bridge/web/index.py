"""The start page: links to all pages, and the number of jobs by status."""

from typing import Any

from flask import Blueprint, render_template

from bridge.errors import BridgeError
from bridge.web.services import Services
from bridge.web.stats import aggregated_stats

ADDRESSES = (
    ("/health", "is this process up (the Node worker's answer)"),
    ("/livez", "is it alive; touches no store"),
    ("/readyz", "can it serve: Postgres, its schema, Redis"),
    ("/stats", "queue statistics as JSON"),
    ("/metrics", "the same for Prometheus"),
)
COUNTS = ("pending", "processing", "completed", "failed", "cancelled")


def blueprint(services: Services) -> Blueprint:
    pages = Blueprint("index", __name__)

    @pages.get("/")
    def index() -> str:
        stats: dict[str, Any] | None
        try:
            stats, problem = aggregated_stats(services), None
        except BridgeError as error:
            stats, problem = None, str(error)
        return render_template("index.html", addresses=ADDRESSES, counts=COUNTS, stats=stats, problem=problem)

    return pages
