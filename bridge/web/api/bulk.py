"""/api/bulk: retry, cancel or replay all jobs that a filter means; watch that, and stop it."""

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from bridge.postgres import bulk
from bridge.web.api.answers import BodyError, body, new_blueprint, plain
from bridge.web.operators import BULK_ID, known, plan_bulk, start_bulk, stop_bulk
from bridge.web.services import Services
from bridge.web.shown_jobs import ShownJobs


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
        planned = plan_bulk(services, bulk.Action(asked["action"]), meant)
        return jsonify(plain(known(bulk.show(call, planned))))

    @api.get(f"/bulk/{BULK_ID}")
    def show(operation: int) -> ResponseReturnValue:
        return jsonify(plain(known(bulk.show(call, operation))))

    @api.post(f"/bulk/{BULK_ID}/start")
    def start(operation: int) -> ResponseReturnValue:
        asked = body(rate=int)
        rate = bulk.parse_rate("" if asked.get("rate") is None else str(asked["rate"]))
        return jsonify(state=start_bulk(services, operation, rate, asked.get("reason")))

    @api.post(f"/bulk/{BULK_ID}/stop")
    def stop(operation: int) -> ResponseReturnValue:
        return jsonify(state=stop_bulk(services, operation))

    return api
