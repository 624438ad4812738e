"""The tables of what comes in between: urgent jobs, and faults."""

from collections.abc import Iterator, Mapping, Sequence

from bench.markdown import Row, milliseconds, table, whole
from bench.numbers import median, percentiles
from bench.priority import Urgent


def priority(found: Mapping[str, Sequence[Urgent]]) -> Iterator[str]:
    rows = [_priority(name, urgent) for name, urgent in found.items() if urgent]
    if rows:
        yield "### Urgent jobs in a backlog\n\n" + table(
            ("low jobs", "urgent jobs", "overtaken", "low ones ahead of one, median", "most", "of these: not claimed",
             "not fetched", "not begun", "commit → start of the urgent ones, p50 ms", "p99"),
            rows,
        )  # fmt: skip


def _priority(name: str, urgent: Sequence[Urgent]) -> Row:
    ahead = [float(one.ahead) for one in urgent]
    waited = percentiles(one.milliseconds for one in urgent)
    return (
        name, len(urgent), sum(one.is_overtaken for one in urgent), whole(median(ahead)), whole(max(ahead)),
        sum(one.unclaimed for one in urgent), sum(one.unfetched for one in urgent),
        sum(one.not_begun for one in urgent), milliseconds(waited.p50), milliseconds(waited.p99),
    )  # fmt: skip
