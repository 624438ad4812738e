"""The health checks: /health as the Node worker answered it, /livez and /readyz for orchestrators."""

import time
from datetime import UTC, datetime

from flask import Blueprint, Response, jsonify

from bridge.web.services import Services


def blueprint(services: Services) -> Blueprint:
    pages = Blueprint("health", __name__)

    @pages.get("/health")
    def health() -> Response:
        """Three keys, which monitors of the Node worker read. Uses no store."""
        timestamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        uptime = round(time.monotonic() - services.started, 3)
        return jsonify(status="healthy", uptime=uptime, timestamp=timestamp)

    @pages.get("/livez")
    def livez() -> Response:
        """This process answers. Uses no store: a restart of this process would not bring a store back."""
        return jsonify(status="alive")

    @pages.get("/readyz")
    def readyz() -> tuple[Response, int]:
        """The state of Postgres, its schema and Redis. Status 503 when one of them is not ok."""
        readiness = services.readiness.get()
        status = "ready" if readiness.ready else "unavailable"
        return jsonify(status=status, checks=readiness.checks), 200 if readiness.ready else 503

    return pages
