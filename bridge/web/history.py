"""GET /api/history: what happened in the last hour, day or month, for charts and scripts."""

import re
from http import HTTPStatus

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from bridge.postgres.history import RangeError
from bridge.web.services import Services

_QUEUE = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,199}")  # as the job table has it


def blueprint(services: Services) -> Blueprint:
    pages = Blueprint("history", __name__, url_prefix="/api")

    @pages.get("/history")
    def history() -> ResponseReturnValue:
        """The points of `range` (1h, 24h, 30d), of one `queue` or of all. With an ETag: most polls find no change."""
        queue = request.args.get("queue")
        if queue is not None and not _QUEUE.fullmatch(queue):
            return _refused("queue must be the name of a queue")
        try:
            found = services.histories.get(request.args.get("range", "1h"), queue)
        except RangeError as error:
            return _refused(str(error))
        answer = jsonify(found)
        answer.headers["Cache-Control"] = "no-cache"
        answer.add_etag()
        return answer.make_conditional(request)

    return pages


def _refused(reason: str) -> tuple[Response, int]:
    return jsonify(success=False, error=reason), HTTPStatus.BAD_REQUEST
