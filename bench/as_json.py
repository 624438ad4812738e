"""A run as one JSON object."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bench.documented import Way
from bench.goals import GOALS
from bench.numbers import Rounds, median, percentiles, pooled, ratio, typical
from bench.results import Results


def as_json(results: Results) -> dict[str, Any]:
    """Every key exists in every run. A figure that was not measured is empty, or null among the ratios."""
    return {
        "drain": {name: round(rate) for name, rates in results.drain.items() if (rate := median(rates)) is not None},
        "latency_ms": _latencies(results.latency),
        "idle_latency_ms": _latencies(results.idle_latency),
        "pooler_ms": _latencies(results.pooler),
        "ratio": {goal.name: _rounded(goal.figure(results)) for goal in GOALS},
        "goals": {goal.name: goal.verdict(results).strip("*") for goal in GOALS},
        "growth": _growth(results) | _held(results),
        "insert": {
            way: {
                "triggers": _rounded(median(found.triggers)),
                "bare": _rounded(median(found.bare)),
                "ratio": _rounded(ratio(median(found.triggers), median(found.bare))),
            }
            for way, found in results.insert.items()
        },
        "idle": _idle(results),
        "rss_mb": _rss(results),
        "scale": _scale(results),
        "priority": _priority(results),
        "recovery": _recovery(results),
        "ways": _ways(results),
        "faults": _faults(results),
        "failed": dict(results.failed),
    }


def _latencies(by_name: Mapping[str, Rounds]) -> dict[str, Any]:
    return {name: asdict(typical(rounds)) for name, rounds in by_name.items() if any(rounds)}


def _growth(results: Results) -> dict[str, Any]:
    growth = results.growth
    if growth is None:
        return {}
    return {
        "finished_rows": growth.rows,
        "claim_ms": {"none": asdict(pooled(growth.claim_none)), "grown": asdict(pooled(growth.claim_grown))},
        "stats_ms": {"none": asdict(pooled(growth.stats_none)), "grown": asdict(pooled(growth.stats_grown))},
    }


def _held(results: Results) -> dict[str, Any]:
    if results.held is None:
        return {}
    phases = {"none": results.held.none, "held": results.held.held}
    return {
        "held_transaction": {
            "jobs_passed": results.held.jobs,
            "claim_ms": {name: asdict(percentiles(phase.claims)) for name, phase in phases.items()},
            "claim_mean_ms_in_server": {name: _rounded(phase.server_mean) for name, phase in phases.items()},
            "latency_ms": {name: asdict(percentiles(phase.latencies)) for name, phase in phases.items()},
        }
    }


def _idle(results: Results) -> dict[str, Any]:
    idle = results.idle
    if idle is None:
        return {}
    return {
        "cpu_percent": {
            "all": _rounded(sum(idle.cpu_percent.values())),
            **{role: _rounded(share) for role, share in idle.cpu_percent.items()},
        },
        "postgres_statements_per_second": _rounded(idle.statements_per_second),
        "redis_commands_per_second": _rounded(idle.redis_commands_per_second),
    }


def _rss(results: Results) -> dict[str, Any]:
    idle = results.idle
    if idle is None:
        return {}
    return {
        role: {
            when: {name: _rounded(size) for name, size in asdict(sizes[role]).items()}
            for when, sizes in (("idle", idle.memory_idle), ("after_drain", idle.memory_drained))
        }
        for role in idle.memory_idle
    }


def _scale(results: Results) -> dict[str, Any]:
    if results.scale is None:
        return {}
    return {
        what: {str(count): _rounded(median(rates)) for count, rates in by_count.items()}
        for what, by_count in (("bridges", results.scale.bridges), ("workers", results.scale.workers))
    }


def _priority(results: Results) -> dict[str, Any]:
    return {
        name: {
            "urgent_jobs": len(urgent),
            "overtaken": sum(one.is_overtaken for one in urgent),
            "ahead": asdict(percentiles(one.ahead for one in urgent)) | {"most": max(one.ahead for one in urgent)},
            "of_these": {
                "unclaimed": sum(one.unclaimed for one in urgent),
                "unfetched": sum(one.unfetched for one in urgent),
                "not_begun": sum(one.not_begun for one in urgent),
            },
            "latency_ms": asdict(percentiles(one.milliseconds for one in urgent)),
        }
        for name, urgent in results.priority.items()
        if urgent
    }


def _recovery(results: Results) -> dict[str, Any]:
    return {
        f"{killers}_killers": {
            "next_start_seconds": asdict(percentiles(seconds)) if seconds else None,
            "cut_short": len(seconds),
            "alone": sum(trial.alone for trial in trials),
            "died_again": sum(trial.died_again for trial in trials),
            "not_completed": sum(trial.failed for trial in trials),
        }
        for killers, trials in results.recovery.items()
        if trials
        for seconds in [[one for trial in trials for one in trial.next_starts]]
    }


def _faults(results: Results) -> dict[str, Any]:
    found = results.faults
    return {"calm": _rounded(median(found.calm)), "faults": _rounded(median(found.faults))} if found else {}


def _ways(results: Results) -> dict[str, Any]:
    if results.ways is None:
        return {}
    return {
        "cold_jobs": results.ways.cold_jobs,
        **{
            what: {name: _way(way) for name, way in by_name.items()}
            for what, by_name in (("insert", results.ways.inserting), ("work", results.ways.working))
        },
    }


def _way(way: Way) -> dict[str, Any]:
    return {
        "rows_per_second": _rounded(median(way.rates)),
        "drain": _rounded(median(way.drains)),
        "latency_ms": asdict(typical(way.latencies)) if any(way.latencies) else None,
        "cold_seconds": _rounded(median(way.colds)),
    }


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 3)
