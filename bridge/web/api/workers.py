"""/api/workers: the worker processes; and the description of the API."""

from flask import Blueprint, Response, current_app, jsonify
from flask.typing import ResponseReturnValue

from bridge.web.api.answers import new_blueprint, plain
from bridge.web.services import Services


def blueprint(services: Services) -> Blueprint:
    api = new_blueprint("workers")

    @api.get("/workers")
    def workers() -> ResponseReturnValue:
        return jsonify(workers=plain(services.pool.call("list_workers")))

    @api.get("/openapi.json")
    def description() -> Response:
        return current_app.send_static_file("openapi.json")

    return api
