"""/api/history: what happened in the last hour, day or month, for charts and scripts."""

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from bridge.postgres.history import RangeError
from bridge.postgres.queue_pauses import is_queue_name
from bridge.web.api.answers import new_blueprint
from bridge.web.services import Services


def blueprint(services: Services) -> Blueprint:
    api = new_blueprint("history")

    @api.get("/history")
    def history() -> ResponseReturnValue:
        """The points of `range` (1h, 24h, 30d), of one `queue` or of all. With an ETag: most polls find no change."""
        queue = request.args.get("queue")
        if queue is not None and not is_queue_name(queue):
            raise RangeError("queue must be the name of a queue")
        answer = jsonify(services.histories.get(request.args.get("range", "1h"), queue))
        answer.headers["Cache-Control"] = "no-cache"
        answer.add_etag()
        return answer.make_conditional(request)

    return api
