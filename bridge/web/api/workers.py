"""/api/workers: the worker processes; drain and resume one; and the description of the API."""

from uuid import UUID

from flask import Blueprint, Response, current_app, jsonify
from flask.typing import ResponseReturnValue

from bridge.web.api.answers import new_blueprint, plain, reason
from bridge.web.operators import act_on_worker
from bridge.web.services import Services


def blueprint(services: Services) -> Blueprint:
    api = new_blueprint("workers")

    @api.get("/workers")
    def workers() -> ResponseReturnValue:
        return jsonify(workers=plain(services.pool.call("list_workers")))

    @api.post("/workers/<uuid:worker_id>/<any(drain, resume):action>")
    def act(worker_id: UUID, action: str) -> ResponseReturnValue:
        return jsonify(draining=act_on_worker(services, worker_id, action, reason()))

    @api.get("/openapi.json")
    def description() -> Response:
        return current_app.send_static_file("openapi.json")

    return api
