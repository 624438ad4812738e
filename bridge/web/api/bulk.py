"""/api/bulk: retry, cancel or replay all jobs that a filter means; watch that, and stop it."""

from typing import Any

from flask import Blueprint, abort, jsonify
from flask.typing import ResponseReturnValue

from bridge.postgres import bulk
from bridge.web.api.answers import BodyError, body, new_blueprint, plain
from bridge.web.operators import operator, storable_reason
from bridge.web.services import Services
from bridge.web.shown_jobs import ShownJobs

_ID = "<int(max=9223372036854775807):operation>"  # a bigint of Postgres


def blueprint(services: Services) -> Blueprint:
    api = new_blueprint("bulk")
    call = services.pool.call
    shown = ShownJobs(services)

    @api.get("/bulk")
    def latest() -> ResponseReturnValue:
        return jsonify(operations=plain(bulk.latest(call)))

    @api.post("/bulk")
    def plan() -> ResponseReturnValue:
        asked = body(action=str, q=str)
        if asked.get("action") not in set(bulk.Action):
            raise BodyError(f"action must be one of {', '.join(bulk.Action)}")
        meant = shown.meant(asked.get("q") or "")
        planned = bulk.plan(call, bulk.Action(asked["action"]), meant, by=operator())
        return jsonify(plain(_known(bulk.show(call, planned))))

    @api.get(f"/bulk/{_ID}")
    def show(operation: int) -> ResponseReturnValue:
        return jsonify(plain(_known(bulk.show(call, operation))))

    @api.post(f"/bulk/{_ID}/start")
    def start(operation: int) -> ResponseReturnValue:
        asked = body(rate=int)
        rate = bulk.parse_rate("" if asked.get("rate") is None else str(asked["rate"]))
        said = storable_reason(asked.get("reason"))
        return jsonify(state=_known(bulk.start(call, operation, by=operator(), reason=said, rate=rate)))

    @api.post(f"/bulk/{_ID}/stop")
    def stop(operation: int) -> ResponseReturnValue:
        return jsonify(state=_known(bulk.stop(call, operation, by=operator())))

    return api


def _known(found: Any) -> Any:
    if found is None:
        abort(404)
    return found
