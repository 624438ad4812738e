"""GET /live.json: what /live streams, for a client that cannot hold a stream."""

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue

from bridge.web.services import Services


def blueprint(services: Services) -> Blueprint:
    pages = Blueprint("live", __name__)

    @pages.get("/live.json")
    def live() -> ResponseReturnValue:
        state = services.overview.state()
        answer = Response(state.text, content_type="application/json")
        answer.headers["Cache-Control"] = "no-cache"
        answer.set_etag(state.id)
        return answer.make_conditional(request)

    return pages
