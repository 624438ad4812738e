"""The tables of urgent jobs, recovery and faults."""

from collections.abc import Iterator, Mapping, Sequence

from bench.faults import Faults
from bench.markdown import NONE, Row, milliseconds, spread, table, whole
from bench.numbers import median, percentiles
from bench.priority import Urgent
from bench.recovery import JOBS, Trial


def priority(found: Mapping[str, Sequence[Urgent]]) -> Iterator[str]:
    rows = [_priority(name, urgent) for name, urgent in found.items() if urgent]
    if rows:
        yield "### Urgent jobs in a backlog\n\n" + table(
            ("low jobs", "urgent jobs", "overtaken", "low ones ahead of one, median", "most", "of these: not claimed",
             "not fetched", "not begun", "commit → start of the urgent ones, p50 ms", "p99"),
            rows,
        )  # fmt: skip


def recovery(found: Mapping[int, Sequence[Trial]]) -> Iterator[str]:
    rows = [_recovery(killers, trials) for killers, trials in found.items() if trials]
    if rows:
        yield f"### Worker processes that die while {JOBS} jobs run\n\n" + table(
            ("killed by", "trials", "innocent runs cut short", "death → next start, p50 s", "p99", "longest",
             "innocent jobs run alone", "died again", "not completed", "runs of a killer", "all ended after s"),
            rows,
        )  # fmt: skip


def faults(found: Faults) -> str:
    return "### Drain of jobs of 30 ms, jobs/s\n\n" + table(
        ("", "median", "range"),
        ((words, whole(median(rates)), spread(rates))
         for words, rates in (("calm", found.calm), ("at a fault a second", found.faults))),
    )  # fmt: skip


def _recovery(killers: int, trials: Sequence[Trial]) -> Row:
    seconds = [one for trial in trials for one in trial.next_starts]
    times = (
        [f"{one:.2f}" for one in (percentiles(seconds).p50, percentiles(seconds).p99, max(seconds))]
        if seconds
        else [NONE] * 3
    )
    runs = sum(trial.killer_runs for trial in trials)
    return (
        f"{killers} of the jobs" if killers else "kill -9 from outside", len(trials), len(seconds), *times,
        sum(trial.alone for trial in trials), sum(trial.died_again for trial in trials),
        sum(trial.failed for trial in trials), f"{runs / killers / len(trials):.1f}" if killers else NONE,
        f"{max(trial.seconds for trial in trials):.0f}",
    )  # fmt: skip


def _priority(name: str, urgent: Sequence[Urgent]) -> Row:
    ahead = [float(one.ahead) for one in urgent]
    waited = percentiles(one.milliseconds for one in urgent)
    return (
        name, len(urgent), sum(one.is_overtaken for one in urgent), whole(median(ahead)), whole(max(ahead)),
        sum(one.unclaimed for one in urgent), sum(one.unfetched for one in urgent),
        sum(one.not_begun for one in urgent), milliseconds(waited.p50), milliseconds(waited.p99),
    )  # fmt: skip
