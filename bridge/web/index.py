"""The start page: whether all is well, how many jobs there are, what happened lately, and what needs attention."""

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, render_template, request

from bridge.errors import BridgeError
from bridge.job import Status
from bridge.postgres.history import COUNTS, PERCENTILES, RANGES, STAGES
from bridge.postgres.job_filter import JobFilter
from bridge.web.services import Services
from bridge.web.shown_jobs import ShownJobs

ADDRESSES = (
    ("/health", "is this process up (the Node worker's answer)"),
    ("/livez", "is it alive; touches no store"),
    ("/readyz", "can it serve: Postgres, its schema, Redis"),
    ("/stats", "queue statistics as JSON"),
    ("/metrics", "the same for Prometheus"),
)
_FAILURES_SHOWN = 5  # more are behind a link
_FAILED = JobFilter(status=Status.FAILED)


def blueprint(services: Services) -> Blueprint:
    pages = Blueprint("index", __name__)

    @pages.get("/")
    def index() -> str:
        name = request.args.get("range", "")
        chosen = name if name in RANGES else next(iter(RANGES))
        state = services.overview.state().content
        return render_template(
            "index.html",
            state=state,
            statuses=tuple(Status),
            history=_history(services, chosen) if state["counts"] else None,
            failures=_failures(services) if state["counts"] else [],
            ranges=tuple(RANGES),
            chosen=chosen,
            is_development=not services.settings.is_production,
            addresses=ADDRESSES,
        )

    return pages


def _history(services: Services, name: str) -> dict[str, Any] | None:
    """Rows for the tables behind the charts, the newest first; None where there is no history."""
    try:
        found = services.histories.get(name)
    except BridgeError:
        return None
    rows = [_row(found, number) for number in range(len(found["times"]))]
    recorded = [row for row in reversed(rows) if row["counts"]["completed"] is not None]
    return {"rows": recorded, "totals": found["totals"], "step_minutes": found["step_seconds"] // 60}


def _row(history: dict[str, Any], number: int) -> dict[str, Any]:
    latencies = history["latency_seconds"]
    return {
        "at": datetime.fromtimestamp(history["times"][number], UTC),
        "counts": {count: history["counts"][count][number] for count in COUNTS},
        "latency": {stage: {share: latencies[stage][share][number] for share in PERCENTILES} for stage in STAGES},
    }


def _failures(services: Services) -> list[dict[str, Any]]:
    try:
        return ShownJobs(services).search(str(_FAILED), limit=_FAILURES_SHOWN, after=None)[1].jobs
    except BridgeError:
        return []
