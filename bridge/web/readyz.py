"""/readyz: whether this process can serve, for orchestrators."""

from flask import Blueprint, Response, jsonify

from bridge.web.services import Services


def blueprint(services: Services) -> Blueprint:
    pages = Blueprint("readyz", __name__)

    @pages.get("/readyz")
    def readyz() -> tuple[Response, int]:
        """The state of Postgres, its schema and Redis. Status 503 when one of them is not ok."""
        readiness = services.readiness.get()
        status = "ready" if readiness.ready else "unavailable"
        return jsonify(status=status, checks=readiness.checks), 200 if readiness.ready else 503

    return pages
