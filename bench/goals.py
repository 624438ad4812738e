"""The goals of this project, and whether a run met them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.documented import Way
from bench.numbers import Rounds, median, percentiles, pooled, ratio, typical
from bench.priority import NAP, NO_OP
from bench.results import Results

BEST_DRAIN = "pgqueuer_best"
DEFAULT = "pgqueuer"
ALONE = "dramatiq"


@dataclass(frozen=True)
class Goal:
    """`figure` returns what a run measured, or None. `must` and `moonshot` have the same unit."""

    name: str
    words: str
    must: float
    moonshot: float
    figure: Callable[[Results], float | None]
    unit: str = "x"
    at_least: bool = False

    def verdict(self, results: Results) -> str:
        figure = self.figure(results)
        if figure is None:
            return "not measured"
        if self._reaches(figure, self.moonshot):
            return "moonshot"
        return "yes" if self._reaches(figure, self.must) else "**no**"

    def _reaches(self, figure: float, limit: float) -> bool:
        return figure >= limit if self.at_least else figure <= limit


def _drain_against(peer: str) -> Callable[[Results], float | None]:
    return lambda results: ratio(median(results.drain.get("bridge", ())), median(results.drain.get(peer, ())))


def _latency_against(peer: str, which: str, *, idle: bool = False) -> Callable[[Results], float | None]:
    def figure(results: Results) -> float | None:
        found = results.idle_latency if idle else results.latency
        return ratio(_typical(found.get("bridge"), which), _typical(found.get(peer), which))

    return figure


def _pooled_against_direct(results: Results) -> float | None:
    return ratio(_typical(results.pooler.get("pooled"), "p50"), _typical(results.pooler.get("direct"), "p50"))


def _typical(rounds: Rounds | None, which: str) -> float | None:
    """`which` is p50 or p99, in milliseconds."""
    return getattr(typical(rounds), which) if rounds and any(rounds) else None


def _plain_sql(figure: Callable[[Way], float | None]) -> Callable[[Results], float | None]:
    """The figure of jobs inserted by plain SQL, divided by that of rows that name their queue."""

    def against_named(results: Results) -> float | None:
        if results.ways is None:
            return None
        return ratio(figure(results.ways.inserting["plain_sql"]), figure(results.ways.inserting["named"]))

    return against_named


def _insert(way: str) -> Callable[[Results], float | None]:
    def figure(results: Results) -> float | None:
        found = results.insert.get(way)
        return ratio(median(found.triggers), median(found.bare)) if found else None

    return figure


def _claim_growth(results: Results) -> float | None:
    growth = results.growth
    return ratio(pooled(growth.claim_grown).p99, pooled(growth.claim_none).p99) if growth else None


def _stats_growth(results: Results) -> float | None:
    growth = results.growth
    return ratio(pooled(growth.stats_grown).p50, pooled(growth.stats_none).p50) if growth else None


def _held(results: Results) -> float | None:
    held = results.held
    return ratio(percentiles(held.held.claims).p99, percentiles(held.none.claims).p99) if held else None


def _rss(role: str) -> Callable[[Results], float | None]:
    def figure(results: Results) -> float | None:
        idle = results.idle
        return max(idle.memory_idle[role].rss, idle.memory_drained[role].rss) if idle else None

    return figure


def _scale(what: str, few: int, many: int) -> Callable[[Results], float | None]:
    def figure(results: Results) -> float | None:
        rates: Mapping[int, list[float]] = getattr(results.scale, what, {})
        return ratio(median(rates.get(many, ())), median(rates.get(few, ())))

    return figure


def _urgent_overtaken(results: Results) -> float | None:
    urgent = results.priority.get(NAP)
    return float(sum(one.is_overtaken for one in urgent)) if urgent else None


def _unclaimed(results: Results) -> float | None:
    urgent = results.priority.get(NO_OP)
    return float(sum(one.unclaimed for one in urgent)) if urgent else None


def _next_start(which: str) -> Callable[[Results], float | None]:
    """Of the jobs of a process that was killed from outside, in seconds; of all rounds, so that none is left out."""

    def figure(results: Results) -> float | None:
        seconds = [one for trial in results.recovery.get(0, ()) for one in trial.next_starts]
        return getattr(percentiles(seconds), which) if seconds else None

    return figure


def _tried_alone(results: Results) -> float | None:
    trials = results.recovery.get(0, ())
    return float(sum(trial.alone for trial in trials)) if trials else None


GOALS = (
    Goal("plain_sql_drain", "plain SQL without a queue against a named queue: drain of workers that came before",
         0.95, 1, _plain_sql(lambda way: median(way.drains)), at_least=True),
    Goal("plain_sql_p50", "the same, commit → actor start at 50 jobs/s, p50",
         1.05, 1, _plain_sql(lambda way: _typical(way.latencies, "p50"))),
    Goal("plain_sql_p99", "the same, p99", 1.1, 1, _plain_sql(lambda way: _typical(way.latencies, "p99"))),
    Goal("rows_before_first_worker", "the same, many rows before their first worker: until the last one begins",
         1.2, 1, _plain_sql(lambda way: median(way.colds))),
    Goal("drain_vs_dramatiq", "drain of no-op jobs against Dramatiq alone at its default",
         3.5, 5, _drain_against(ALONE), at_least=True),
    Goal("drain_vs_best_peer", "drain against the best peer setting (pgqueuer, batch 500)",
         0.8, 1.1, _drain_against(BEST_DRAIN), at_least=True),
    Goal("latency_p50_vs_dramatiq", "commit → actor start at 50 jobs/s, p50 against Dramatiq alone",
         0.4, 0.25, _latency_against(ALONE, "p50")),
    Goal("latency_p50_vs_pgqueuer", "the same, p50 against pgqueuer at its default",
         1.6, 1, _latency_against(DEFAULT, "p50")),
    Goal("latency_p99_vs_pgqueuer", "the same, p99 against pgqueuer at its default",
         1.5, 1, _latency_against(DEFAULT, "p99")),
    Goal("idle_latency_p50_vs_dramatiq", "commit → actor start at one job a second (idle), p50 against Dramatiq alone",
         0.05, 0.02, _latency_against(ALONE, "p50", idle=True)),
    Goal("pooler_p50", "commit → actor start at 50 jobs/s by a pooler in transaction mode against direct, p50",
         1.3, 1.1, _pooled_against_direct),
    Goal("insert_one_client", "insert rate with triggers against a bare table: one client, a commit a row",
         0.85, 0.95, _insert("one_client"), at_least=True),
    Goal("insert_sixteen_clients", "the same, sixteen clients", 0.85, 0.95, _insert("sixteen_clients"), at_least=True),
    Goal("insert_one_client_busy_bridge", "the same, one client, beside a bridge with 200 other jobs a second",
         0.85, 0.95, _insert("one_client_busy_bridge"), at_least=True),
    Goal("insert_sixteen_clients_busy_bridge", "the same, sixteen clients, beside that busy bridge",
         0.85, 0.95, _insert("sixteen_clients_busy_bridge"), at_least=True),
    Goal("insert_thousand_rows", "the same, a thousand rows a statement",
         0.85, 0.95, _insert("thousand_rows"), at_least=True),
    Goal("growth_claim_p99", "claim p99 with many finished rows against none", 1.3, 1.05, _claim_growth),
    Goal("growth_stats_p50", "`get_queue_stats()` p50 with many finished rows against none", 1.3, 1.05, _stats_growth),
    Goal("held_claim_p99", "claim p99 with a transaction held open against none", 3, 1.5, _held),
    Goal("idle_cpu_percent", "idle, all three processes: CPU of a core", 2, 0.5,
         lambda results: sum(results.idle.cpu_percent.values()) if results.idle else None, unit="%"),
    Goal("idle_statements_per_second", "idle, all three processes: Postgres statements", 5, 1,
         lambda results: results.idle.statements_per_second if results.idle else None, unit="/s"),
    Goal("rss_bridge_mb", "RSS of the bridge", 60, 45, _rss("bridge"), unit="MB"),
    Goal("rss_worker_mb", "RSS of a worker process", 70, 55, _rss("worker"), unit="MB"),
    Goal("rss_web_mb", "RSS of the web process", 80, 60, _rss("web"), unit="MB"),
    Goal("two_bridges", "drain with two bridges against one", 0.95, 1, _scale("bridges", 1, 2), at_least=True),
    Goal("four_workers", "four worker processes against two, jobs that sleep 20 ms",
         1.8, 1.95, _scale("workers", 2, 4), at_least=True),
    Goal("urgent_overtaken", "urgent jobs overtaken by low ones of 20 ms that did not run yet",
         0, 0, _urgent_overtaken, unit="jobs"),
    Goal("priority_unclaimed_overtakes", "low no-op jobs claimed after an urgent one's commit and begun before it",
         0, 0, _unclaimed, unit="jobs"),
    Goal("kill_next_start_p50", "kill -9 of a worker process → next start of its jobs, p50",
         2, 1, _next_start("p50"), unit="s"),
    Goal("kill_next_start_p99", "the same, p99", 4, 2, _next_start("p99"), unit="s"),
    Goal("innocent_alone", "the same, jobs that were made to run alone", 0, 0, _tried_alone, unit="jobs"),
    Goal("drain_under_faults", "drain at a fault a second against calm", 0.8, 0.9,
         lambda results: ratio(median(results.faults.faults), median(results.faults.calm)) if results.faults else None,
         at_least=True),
)  # fmt: skip
