"""The page of the metrics, from the collector that answers `/metrics`."""

from types import SimpleNamespace
from typing import Any

from prometheus_client.core import Metric

from bridge.web.metrics import Figures
from documentation.markdown import code, heading, table

_NO_JOBS: dict[str, Any] = {
    "queues": [], "pauses": {}, "refused_sessions": [], "vacuum_held": [],
    "workers": {"workers": 0, "slots": 0, "busy": 0},
}  # fmt: skip


INTRO = """
`/metrics` of a web process, beside `process_…` of that process itself. Every web process gives the same figures.
"""


def families() -> list[Metric]:
    """The metrics of an installation without jobs."""
    services: Any = SimpleNamespace(
        readiness=SimpleNamespace(get=lambda: SimpleNamespace(checks={})),
        statistics=SimpleNamespace(get=lambda: _NO_JOBS),
        histories=SimpleNamespace(get=lambda _range: {"latest": {"latency_seconds": {}}}),
    )
    return list(Figures(services).collect())


def page() -> str:
    rows = [
        [code(_sampled(one)), one.type, ", ".join(map(code, _labels(one))), one.documentation] for one in families()
    ]
    return "\n".join(
        [heading("Metrics", "`bridge/web/metrics.py`"), INTRO.lstrip(), table(["name", "type", "labels", ""], rows)]
    )


def _sampled(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def _labels(family: Metric) -> list[str]:
    return list(getattr(family, "_labelnames", ()))
