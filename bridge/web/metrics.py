"""/metrics, for Prometheus: read from Postgres when it asks."""

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bridge.errors import BridgeError
from bridge.postgres.history import PERCENTILES
from bridge.postgres.older_schema import unless_missing
from bridge.postgres.queue_rows import HELD_SECONDS
from bridge.web.probes import uptime_seconds
from bridge.web.services import Services


def blueprint(services: Services) -> Blueprint:
    pages = Blueprint("metrics", __name__)
    registry = CollectorRegistry()
    registry.register(Figures(services))
    ProcessCollector(registry=registry)

    @pages.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    return pages


class Figures(Collector):
    """Metrics, read from Postgres when Prometheus asks, so that every web process gives the same figures."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("bridge_uptime_seconds", "Age of this web process", value=uptime_seconds())
        build = GaugeMetricFamily("bridge_build_info", "Version of the bridge, as a label", labels=["version"])
        build.add_metric([version("mobvibe-bridge")], 1)
        yield build
        up = GaugeMetricFamily("bridge_up", "Whether a component can be used (1) or not (0)", labels=["component"])
        for component, check in self._services.readiness.get().checks.items():
            up.add_metric([component], 1 if check == "ok" else 0)
        yield up
        try:
            figures = self._services.statistics.get()
        except BridgeError:
            return  # bridge_up shows why. Missing figures are better than old ones
        yield from _of_jobs(figures)
        yield from _of_workers(figures["workers"])
        if history := unless_missing(lambda: self._services.histories.get("1h")):
            yield _of_latencies(history["latest"])


def _of_jobs(figures: dict[str, Any]) -> Iterable[Metric]:
    depth = GaugeMetricFamily("bridge_queue_depth", "Open jobs", labels=["queue", "state"])
    oldest = GaugeMetricFamily("bridge_oldest_pending_age_seconds", "Age of the oldest pending job", labels=["queue"])
    for row in figures["queues"]:
        depth.add_metric([row["queue"], "pending"], row["pending"])
        depth.add_metric([row["queue"], "processing"], row["processing"])
        oldest.add_metric([row["queue"]], row["oldest_pending_seconds"] or 0)
    yield depth
    yield oldest
    paused = GaugeMetricFamily("bridge_queue_paused", "Whether a queue is paused (1) or not (0)", labels=["queue"])
    for queue in sorted(figures["pauses"].keys() | {row["queue"] for row in figures["queues"]}):
        paused.add_metric([queue], 1 if queue in figures["pauses"] else 0)
    yield paused
    finished = CounterMetricFamily("bridge_jobs_finished", "Jobs that ended so far", labels=["queue", "outcome"])
    for row in figures["queues"]:
        for outcome in ("completed", "failed", "cancelled"):
            finished.add_metric([row["queue"], outcome], row[f"ever_{outcome}"])
    yield finished
    refused = CounterMetricFamily(
        "bridge_session_updates_refused",
        "Updates of sessions that Postgres refused, while their jobs went on",
        labels=["queue"],
    )
    for row in figures["refused_sessions"]:
        refused.add_metric([row["queue"]], row["refused"])
    yield refused
    held = figures["vacuum_held"]
    yield GaugeMetricFamily(
        "bridge_vacuum_held_seconds",
        "How long a session has kept vacuum from removing dead rows; 0 while it is below five minutes",
        value=float(held[0]["seconds"] or HELD_SECONDS) if held else 0.0,
    )


def _of_latencies(latest: dict[str, Any]) -> Metric:
    found = GaugeMetricFamily(
        "bridge_latency_seconds",
        "Percentiles of the last five recorded minutes: stage is claim, hand_over, start, wait or run",
        labels=["stage", "quantile"],
    )
    for stage, percentiles in latest["latency_seconds"].items():
        for name, seconds in percentiles.items():
            if seconds is not None:
                found.add_metric([stage, str(PERCENTILES[name])], seconds)
    return found


def _of_workers(workers: dict[str, Any]) -> Iterable[Metric]:
    yield GaugeMetricFamily("bridge_workers", "Live worker processes", value=int(workers["workers"]))
    slots = GaugeMetricFamily("bridge_worker_slots", "Worker threads", labels=["state"])
    slots.add_metric(["total"], int(workers["slots"]))
    slots.add_metric(["busy"], int(workers["busy"]))
    yield slots
