"""/api/queues: how many jobs are in each, and which are paused; pause and resume one."""

from dataclasses import asdict
from typing import Any

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from bridge.job import Status
from bridge.postgres.queue_pauses import Pause, find_pauses
from bridge.web.api.answers import new_blueprint, plain, reason
from bridge.web.operators import act_on_queue
from bridge.web.services import Services


def blueprint(services: Services) -> Blueprint:
    api = new_blueprint("queues")

    @api.get("/queues")
    def queues() -> ResponseReturnValue:
        pauses = find_pauses(services.pool.call)
        counts = {row["queue"]: row for row in services.statistics.get()["queues"]}
        names = sorted(counts.keys() | pauses.keys())
        return jsonify(queues=[_queue(name, counts.get(name, {}), pauses.get(name)) for name in names])

    @api.post("/queues/<path:queue>/<any(pause, resume):action>")
    def act(queue: str, action: str) -> ResponseReturnValue:
        act_on_queue(services, queue, action, reason())
        return jsonify(paused=action == "pause")

    return api


def _queue(name: str, counts: dict[str, Any], pause: Pause | None) -> dict[str, Any]:
    return {
        "queue": name,
        **{status.value: counts.get(status, 0) for status in Status},
        "oldest_pending_seconds": counts.get("oldest_pending_seconds"),
        "pause": plain(asdict(pause)) if pause else None,
    }
