"""What happened in the last hour, day or month, as columns for charts; and percentiles of the recorded latencies."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.errors import BridgeError
from bridge.postgres.job_list import Call

COUNTS = ("inserted", "started", "completed", "failed_attempts", "retried", "failed", "cancelled")
DEPTHS = ("pending", "processing")
STAGES = ("claim", "hand_over", "start", "wait", "run")
PERCENTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
_BUCKETS_PER_DECADE, _LAST_BUCKET = 10, 81  # as latency_bucket (history.sql) has them
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400  # seconds
_LATEST = 5  # steps: of an hour, minutes. Fewer say more of chance than of the system

Histogram = Mapping[int, int]  # bucket → attempts


class RangeError(BridgeError):
    """A range of time that is not offered."""


@dataclass(frozen=True, slots=True)
class Range:
    """In seconds: how far back, the step between two points, and the length of the recorded spans that are added up."""

    range: int
    step: int
    seconds: int


# So many points as a chart has room for, and each a whole number of the spans that are recorded.
RANGES = {
    "1h": Range(_HOUR, _MINUTE, _MINUTE),
    "24h": Range(_DAY, 10 * _MINUTE, _MINUTE),
    "30d": Range(30 * _DAY, 4 * _HOUR, _HOUR),
}


def read_history(call: Call, name: str, queue: str | None) -> dict[str, Any]:
    """The points of a range as columns, None where nothing was recorded; and sums: `totals` of the
    whole range, `latest` of the last five steps that were recorded.

    Times are in Unix seconds, latencies in seconds. Raises RangeError for a name that is not in RANGES.
    """
    if name not in RANGES:
        raise RangeError(f"range must be one of {', '.join(RANGES)}")
    span = RANGES[name]
    asked = {"range": span.range, "step": span.step, "seconds": span.seconds, "queue": queue}
    rows = call("history", asked)
    histograms = _by_stage_and_time(call("latencies", asked | {"since": rows[0]["at"]}))
    times = [row["at"] for row in rows]
    return {
        "range": name,
        "queue": queue,
        "step_seconds": span.step,
        "times": times,
        "counts": {count: [row[count] if row["spans"] else None for row in rows] for count in COUNTS},
        "depth": {depth: [row[depth] for row in rows] for depth in DEPTHS},
        "latency_seconds": {stage: _columns(histograms[stage], times) for stage in STAGES},
        "totals": _totals(rows, histograms),
        "latest": _totals([row for row in rows if row["spans"]][-_LATEST:], histograms),
    }


def _totals(rows: list[dict[str, Any]], histograms: Mapping[str, Mapping[int, Counter[int]]]) -> dict[str, Any]:
    times = {row["at"] for row in rows}
    of_stage = {stage: _sum(found for at, found in histograms[stage].items() if at in times) for stage in STAGES}
    return {
        "steps": len(rows),
        "counts": {count: sum(row[count] or 0 for row in rows) for count in COUNTS},
        "latency_seconds": {stage: _percentiles(of_stage[stage]) for stage in STAGES},
    }


def read_latencies(call: Call) -> dict[str, dict[str, dict[str, float | None]]]:
    """Queue → stage → the percentiles of the last hour, in seconds; only queues in which something happened."""
    histograms: defaultdict[str, dict[str, dict[int, int]]] = defaultdict(lambda: {stage: {} for stage in STAGES})
    for row in call("latencies_of_queues", {}):
        histograms[row["queue"]][row["stage"]][row["bucket"]] = row["attempts"]
    return {
        queue: {stage: _percentiles(histogram) for stage, histogram in stages.items()}
        for queue, stages in histograms.items()
    }


def latency_bucket(seconds: float) -> int:
    """The bucket of a latency, as latency_bucket (history.sql) has it."""
    return min(_LAST_BUCKET, 1 + math.floor(_BUCKETS_PER_DECADE * math.log10(max(1000 * seconds, 1))))


def percentile(histogram: Histogram, share: float) -> float | None:
    """In seconds, exact to a bucket, which is a quarter wide; None of an empty histogram."""
    rank = share * sum(histogram.values())
    below = 0
    for bucket, attempts in sorted(histogram.items()):
        if below + attempts >= rank > 0:
            exponent = (bucket - 1 + (rank - below) / attempts) / _BUCKETS_PER_DECADE
            return float(10**exponent) / 1000
        below += attempts
    return None


def _by_stage_and_time(rows: Iterable[dict[str, Any]]) -> dict[str, dict[int, Counter[int]]]:
    found: dict[str, dict[int, Counter[int]]] = {stage: {} for stage in STAGES}
    for row in rows:
        found[row["stage"]].setdefault(row["at"], Counter())[row["bucket"]] += row["attempts"]
    return found


def _columns(histograms: Mapping[int, Histogram], times: list[int]) -> dict[str, list[float | None]]:
    return {name: [percentile(histograms.get(at, {}), share) for at in times] for name, share in PERCENTILES.items()}


def _percentiles(histogram: Histogram) -> dict[str, float | None]:
    return {name: percentile(histogram, share) for name, share in PERCENTILES.items()}


def _sum(histograms: Iterable[Counter[int]]) -> Counter[int]:
    return sum(histograms, Counter())
