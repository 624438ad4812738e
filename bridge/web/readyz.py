"""/readyz: whether this process can serve, for orchestrators."""

from flask import Blueprint, Response, jsonify

from bridge.settings.redis_address import parse_redis_address
from bridge.web.services import Services


def blueprint(services: Services) -> Blueprint:
    pages = Blueprint("readyz", __name__)
    road = parse_redis_address(services.settings.redis_address()).road

    @pages.get("/readyz")
    def readyz() -> tuple[Response, int]:
        """The state of Postgres, its schema and Redis, and the kind of Redis. Status 503 when one of them is not ok."""
        readiness = services.readiness.get()
        status = "ready" if readiness.ready else "unavailable"
        return jsonify(status=status, checks=readiness.checks, redis=road), 200 if readiness.ready else 503

    return pages
