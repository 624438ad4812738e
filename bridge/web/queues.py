"""The page of queues: what is in them, who takes it, how long that takes, and which are paused."""

from datetime import timedelta
from http import HTTPStatus
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from bridge.job import Status
from bridge.postgres.job_filter import JobFilter
from bridge.postgres.older_schema import unless_missing
from bridge.postgres.queue_pauses import QueueNameError, find_pauses
from bridge.web.operators import act_on_queue
from bridge.web.services import Services


def blueprint(services: Services) -> Blueprint:
    pages = Blueprint("queues", __name__, url_prefix="/queues")

    @pages.get("")
    def index() -> str:
        return _page(services)

    # A name that no queue can have may contain slashes: it is refused in words, and not as a page that is not there.
    @pages.post("/<path:queue>/<any(pause, resume):action>")
    def act(queue: str, action: str) -> ResponseReturnValue:
        try:
            act_on_queue(services, queue, action, request.form.get("reason"))
        except QueueNameError as error:
            return _page(services, problem=str(error)), HTTPStatus.BAD_REQUEST
        return redirect(url_for("queues.index", _anchor=f"queue-{queue}"))

    return pages


def _page(services: Services, problem: str | None = None) -> str:
    latencies = unless_missing(services.histories.latencies)
    return render_template("queues.html", queues=_queues(services), latencies=latencies, problem=problem)


def _queues(services: Services) -> list[dict[str, Any]]:
    """Every queue that has had jobs, is served by a live worker, or is paused."""
    counts = {row["queue"]: row for row in services.statistics.get()["queues"]}
    pauses = find_pauses(services.pool.call)  # not a second old: an operator who has just paused one looks for it
    workers: dict[str, list[dict[str, Any]]] = {}
    for worker in services.pool.call("list_workers"):
        for queue in worker["queues"] if worker["live"] else ():
            workers.setdefault(queue, []).append(worker)
    return [
        {"workers": workers.get(name, []), "pause": pauses.get(name)} | _depth(name, counts.get(name, {}))
        for name in sorted(counts.keys() | workers.keys() | pauses.keys())
    ]


def _depth(name: str, counts: dict[str, Any]) -> dict[str, Any]:
    """How many jobs of each status are in a queue, each with the filter that lists them."""
    seconds = counts.get("oldest_pending_seconds")
    return {
        "name": name,
        "q": str(JobFilter(queue=name)),
        "counts": [
            {"status": status, "jobs": counts.get(status, 0), "q": str(JobFilter(status=status, queue=name))}
            for status in Status
        ],
        "waiting": counts.get(Status.PENDING, 0),
        "oldest_pending": None if seconds is None else timedelta(seconds=max(0, seconds)),
    }
