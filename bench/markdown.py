"""Markdown tables, and figures as their cells."""

from collections.abc import Iterable, Iterator, Sequence

from bench.numbers import Percentiles, Rounds, percentiles

Row = Sequence[object]
NONE = "-"


def table(head: Row, rows: Iterable[Row]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def percentile_cells(found: Percentiles) -> Iterator[str]:
    return (milliseconds(one) for one in (found.p50, found.p95, found.p99))


def by_round(rounds: Rounds, which: str) -> str:
    return spread([getattr(percentiles(samples), which) for samples in rounds if samples], "{:.2f}")


def spread(figures: Sequence[float], form: str = "{:,.0f}") -> str:
    return f"{form.format(min(figures))} to {form.format(max(figures))}" if figures else NONE


def whole(figure: float | None) -> str:
    return NONE if figure is None else f"{figure:,.0f}"


def times(figure: float | None) -> str:
    return NONE if figure is None else f"{figure:.2f} x"


def mean(samples: Sequence[float]) -> str:
    return milliseconds(sum(samples) / len(samples))


def milliseconds(figure: float) -> str:
    return f"{figure:.2f}"
