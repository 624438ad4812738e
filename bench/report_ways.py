"""The tables of the documented ways to insert jobs and to run workers."""

from collections.abc import Iterator

from bench.documented import Documented, Way
from bench.markdown import NONE, Row, milliseconds, table, whole
from bench.numbers import median, typical
from bench.ways import INSERTING, WORKING

_WARM = ("warm drain, jobs/s", "commit → start at 50 jobs/s, p50 ms", "p99")


def ways(found: Documented) -> Iterator[str]:
    cold = f"{found.cold_jobs:,} rows before the first worker: last begun after s"
    yield "### Documented ways to insert\n\n" + table(
        ("", "rows/s of one client", *_WARM, cold),
        ((INSERTING[name].words, _rate(way), *_warm(way), _cold(way)) for name, way in found.inserting.items()),
    )
    yield "### Documented ways to run workers\n\n" + table(
        ("", *_WARM, cold),
        ((f"`{WORKING[name].shown}`", *_warm(way), _cold(way)) for name, way in found.working.items()),
    )


def _warm(way: Way) -> Row:
    if not any(way.latencies):
        return whole(median(way.drains)), NONE, NONE
    latency = typical(way.latencies)
    return whole(median(way.drains)), milliseconds(latency.p50), milliseconds(latency.p99)


def _rate(way: Way) -> str:
    rate = median(way.rates)
    return NONE if rate is None else f"{rate:,.1f}" if rate < 10 else f"{rate:,.0f}"  # noqa: PLR2004 -- three digits


def _cold(way: Way) -> str:
    seconds = median(way.colds)
    return NONE if seconds is None else f"{seconds:.1f}"
