"""Is it up: /health as the Node worker had it, /livez and /readyz as orchestrators want it."""

import time
from datetime import UTC, datetime

from flask import Blueprint, Response, jsonify

from bridge.web.services import Services


def blueprint(services: Services) -> Blueprint:
    pages = Blueprint("health", __name__)

    @pages.get("/health")
    def health() -> Response:
        """The three keys that monitors of the Node worker read. Touches no store."""
        timestamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        uptime = round(time.monotonic() - services.started, 3)
        return jsonify(status="healthy", uptime=uptime, timestamp=timestamp)

    @pages.get("/livez")
    def livez() -> Response:
        """This process serves. Touches no store: restarting us would not bring one back."""
        return jsonify(status="alive")

    @pages.get("/readyz")
    def readyz() -> tuple[Response, int]:
        """Postgres, its schema and Redis; 503 names what is wrong."""
        readiness = services.readiness.get()
        status = "ready" if readiness.ready else "unavailable"
        return jsonify(status=status, checks=readiness.checks), 200 if readiness.ready else 503

    return pages
