"""The arithmetic of a report: percentiles of samples, medians of rounds, ratios."""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from itertools import chain
from statistics import median as _median

Rounds = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Percentiles:
    p50: float
    p95: float
    p99: float


def percentiles(samples: Iterable[float]) -> Percentiles:
    """Each is one of the samples, none is interpolated. Raises ValueError without samples."""
    ordered = sorted(samples)
    if not ordered:
        raise ValueError("no samples")

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)

    return Percentiles(at(0.50), at(0.95), at(0.99))


def pooled(rounds: Rounds) -> Percentiles:
    """The percentiles of all rounds together, because one round has too few samples for a p99."""
    return percentiles(chain.from_iterable(rounds))


def typical(rounds: Rounds) -> Percentiles:
    """Each percentile's median over the rounds that have samples: what one round met by chance does not count."""
    found = [percentiles(samples) for samples in rounds if samples]
    if not found:
        raise ValueError("no samples")
    return Percentiles(*(round(_median(ones), 3) for ones in zip(*map(astuple, found), strict=True)))


def median(rates: Sequence[float]) -> float | None:
    return _median(rates) if rates else None


def ratio(figure: float | None, other: float | None) -> float | None:
    """None if one of them was not measured, or if `other` is zero."""
    return figure / other if figure is not None and other else None
