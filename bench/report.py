"""A run as Markdown: the goals first, then each measurement's own table."""

from collections.abc import Iterator, Mapping

from bench.goals import GOALS, Goal
from bench.markdown import NONE, Row, by_round, mean, milliseconds, percentile_cells, spread, table, times, whole
from bench.numbers import Rounds, median, percentiles, pooled, ratio, typical
from bench.report_faults import faults, priority, recovery
from bench.report_ways import ways
from bench.results import Results


def as_markdown(results: Results, heading: str) -> str:
    """The whole report. `heading` says when and on which machine it was measured."""
    return "\n\n".join((heading, *_sections(results)))


def _sections(results: Results) -> Iterator[str]:
    yield "### Goals\n\n" + table(
        ("figure", "this run", "must", "moonshot", "met?"),
        ((goal.words, _with_unit(goal, goal.figure(results)), _limit(goal, goal.must), _limit(goal, goal.moonshot),
          goal.verdict(results)) for goal in GOALS),
    )  # fmt: skip
    yield from _speed(results)
    if results.ways:
        yield from ways(results.ways)
    yield from _growths(results)
    yield from _costs(results)
    if results.scale:
        yield "### Scale, jobs/s\n\n" + table(("", "median", "range"), _scale(results))
    yield from priority(results.priority)
    yield from recovery(results.recovery)
    if results.faults:
        yield faults(results.faults)
    if results.failed:
        yield "### Failed\n\n" + "\n".join(f"- {name}: {reason}" for name, reason in results.failed.items())


def _speed(results: Results) -> Iterator[str]:
    if results.drain:
        yield "### Drain, jobs/s\n\n" + table(("", "median", "range", "bridge against it"), _drains(results))
    for words, by_name in (
        ("50 jobs/s", results.latency),
        ("one job a second", results.idle_latency),
        ("50 jobs/s, by a pooler in transaction mode with `LISTEN_DATABASE_URL`", results.pooler),
    ):
        if by_name:
            yield f"### Commit → actor start at {words}, ms\n\n" + table(
                ("", "p50", "p95", "p99", "p50 by round"), _latencies(by_name)
            )
    if results.insert:
        yield "### Insert, rows/s\n\n" + table(
            ("", "with triggers", "range", "bare", "range", "ratio"), _inserts(results)
        )


def _growths(results: Results) -> Iterator[str]:
    if results.growth:
        yield f"### With {results.growth.rows:,} finished jobs, ms\n\n" + table(
            ("", "p50", "p95", "p99", "p99 by round"), _growth(results)
        )
    if results.held:
        yield f"### With a transaction held open while {results.held.jobs:,} jobs pass, then 200 jobs/s, ms\n\n" + (
            table(("", "p50", "p95", "p99", "mean"), _held(results))
        )


def _drains(results: Results) -> Iterator[Row]:
    ours = median(results.drain.get("bridge", ()))
    for name, rates in results.drain.items():
        yield name, whole(median(rates)), spread(rates), times(ratio(ours, median(rates)))


def _latencies(by_name: Mapping[str, Rounds]) -> Iterator[Row]:
    for name, rounds in by_name.items():
        if any(rounds):
            yield name, *percentile_cells(typical(rounds)), by_round(rounds, "p50")


def _growth(results: Results) -> Iterator[Row]:
    growth = results.growth
    assert growth is not None
    for words, rounds in (
        ("claim of 1 to 10 jobs, no finished ones", growth.claim_none),
        ("claim of 1 to 10 jobs", growth.claim_grown),
        ("`get_queue_stats()`, no finished ones", growth.stats_none),
        ("`get_queue_stats()`", growth.stats_grown),
    ):
        yield words, *percentile_cells(pooled(rounds)), by_round(rounds, "p99")


def _held(results: Results) -> Iterator[Row]:
    assert results.held is not None
    for words, phase in (("no transaction", results.held.none), ("held", results.held.held)):
        yield f"claim as the bridge sees it, {words}", *percentile_cells(percentiles(phase.claims)), mean(phase.claims)
        yield f"claim in the server, {words}", "", "", "", milliseconds(phase.server_mean)
        yield f"commit → start, {words}", *percentile_cells(percentiles(phase.latencies)), mean(phase.latencies)


def _inserts(results: Results) -> Iterator[Row]:
    for way, found in results.insert.items():
        ours, bare = median(found.triggers), median(found.bare)
        yield (
            way.replace("_", " "), whole(ours), spread(found.triggers), whole(bare), spread(found.bare),
            times(ratio(ours, bare)),
        )  # fmt: skip


def _costs(results: Results) -> Iterator[str]:
    idle = results.idle
    if idle is None:
        return
    yield (
        f"### Idle for {idle.seconds:.0f} s\n\n"
        + table(
            ("", "CPU of a core"),
            ((role, f"{share:.2f} %") for role, share in idle.cpu_percent.items()),
        )
        + (
            f"\n\nPostgres statements: {idle.statements_per_second:.2f}/s. "
            f"Redis commands: {idle.redis_commands_per_second:.2f}/s."
        )
    )
    rows = []
    for role in idle.memory_idle:
        for words, sizes in (("idle", idle.memory_idle), ("after a drain", idle.memory_drained)):
            one = sizes[role]
            rows.append((f"{role}, {words}", *(f"{size:.0f}" for size in (one.rss, one.uss, one.rss_all, one.uss_all))))
    yield "### Memory, MB\n\n" + table(
        ("", "RSS of its process", "USS", "RSS with its parents and helpers", "USS with these"), rows
    )


def _scale(results: Results) -> Iterator[Row]:
    assert results.scale is not None
    for words, by_count in (("bridges", results.scale.bridges), ("worker processes, naps", results.scale.workers)):
        for count, rates in by_count.items():
            yield f"{words}: {count}", whole(median(rates)), spread(rates)


def _with_unit(goal: Goal, figure: float | None) -> str:
    if figure is None:
        return NONE
    if goal.unit == "jobs":
        return f"{figure:.0f}"
    return f"{figure:.0f} {goal.unit}" if goal.unit == "MB" else f"{figure:.2f} {goal.unit}"


def _limit(goal: Goal, limit: float) -> str:
    return f"{'>=' if goal.at_least else '<='} {limit:g} {goal.unit}"
