"""What tokens cost: prices as data, each from a date on. In US dollars for a million tokens."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from actors.coding.agent.runner import Usage
from bridge.errors import SettingsError

_MILLION = 1_000_000  # prices are for so many tokens
_FIRST = date.min  # the first price that we know of a model, also for what was used earlier
_CACHE_WRITE = 1.25  # times the price of input, where a price of the operator's names none: as with all models below


@dataclass(frozen=True, slots=True)
class Price:
    """`beyond`: a request with more tokens of input, cached ones included, costs `times` as much."""

    since: date
    input: float
    output: float
    cache_write: float
    cache_read: float
    beyond: int | None = None
    times: float = 1


# As in platform.claude.com/docs/en/about-claude/pricing at the end of October 2026; the cache is that of five minutes.
PRICES: dict[str, Sequence[Price]] = {
    "claude-fable-5-1": [Price(_FIRST, 10, 50, 12.5, 0.25)],
    "claude-fable-5": [Price(_FIRST, 10, 50, 12.5, 1)],
    "claude-opus-5-5": [Price(_FIRST, 4, 20, 5, 0.2)],
    "claude-opus-5": [Price(_FIRST, 5, 25, 6.25, 0.5)],
    "claude-opus-4-8": [Price(_FIRST, 5, 25, 6.25, 0.5)],
    "claude-opus-4-7": [Price(_FIRST, 5, 25, 6.25, 0.5)],
    "claude-opus-4-6": [Price(_FIRST, 5, 25, 6.25, 0.5)],
    "claude-opus-4-5": [Price(_FIRST, 5, 25, 6.25, 0.5)],
    "claude-sonnet-5-5": [Price(_FIRST, 2, 10, 2.5, 0.2), Price(date(2026, 10, 7), 2, 10, 2.5, 0.1)],
    "claude-sonnet-5": [Price(_FIRST, 2, 10, 2.5, 0.2)],
    "claude-sonnet-4-6": [Price(_FIRST, 3, 15, 3.75, 0.3)],
    "claude-sonnet-4-5": [Price(_FIRST, 3, 15, 3.75, 0.3)],
    "claude-haiku-5-5": [Price(date(2026, 10, 7), 0.1, 0.5, 0.125, 0.01, beyond=100_000, times=5)],
    "claude-haiku-4-5": [Price(_FIRST, 1, 5, 1.25, 0.1)],
}


def price_of(model: str, on: date, given: str | None = None) -> Price:
    """The price of a model on a day. `given` is that of the operator, see `parse_price`, and goes before ours.

    Raises SettingsError for a model that nobody has priced: its budgets could not be kept.
    """
    if given:
        return parse_price(given)
    prices = PRICES.get(re.sub(r"-\d{8}$", "", model))  # a name may end in the date of its version
    if prices is None:
        raise SettingsError(
            f"AGENT_MODEL {model!r} has no price here: set AGENT_PRICE to its dollars for a million tokens of input "
            f"and of output (AGENT_PRICE=2,10), or choose one of {', '.join(PRICES)}"
        )
    return next((price for price in reversed(prices) if price.since <= on), prices[0])


def parse_price(given: str) -> Price:
    """`input,output` or `input,output,cache write,cache read`. Raises SettingsError for anything else."""
    found = re.fullmatch(r"\s*([\d.]+)\s*,\s*([\d.]+)\s*(?:,\s*([\d.]+)\s*,\s*([\d.]+)\s*)?", given)
    try:
        parts = [float(part) for part in found.groups() if part] if found else []
    except ValueError:  # 1.2.3
        parts = []
    match parts:
        case [plain, output]:
            return Price(_FIRST, plain, output, plain * _CACHE_WRITE, plain)
        case [plain, output, write, read]:
            return Price(_FIRST, plain, output, write, read)
        case _:
            raise SettingsError("AGENT_PRICE must be two or four numbers: input,output[,cache write,cache read] (2,10)")


def cost(price: Price, usage: Usage) -> float:
    """What a request has cost, in US dollars."""
    dollars = (
        usage.input_tokens * price.input
        + usage.output_tokens * price.output
        + usage.cache_write_tokens * price.cache_write
        + usage.cache_read_tokens * price.cache_read
    ) / _MILLION
    prompt = usage.input_tokens + usage.cache_write_tokens + usage.cache_read_tokens
    return dollars * (price.times if price.beyond is not None and prompt > price.beyond else 1)


def most(price: Price, usage: Usage) -> float:
    """What a request that uses at most these tokens of input and output can cost, however much of it is cached."""
    uncached = Usage(usage.model, usage.input_tokens, usage.output_tokens)
    written = Usage(usage.model, 0, usage.output_tokens, cache_write_tokens=usage.input_tokens)
    return max(cost(price, uncached), cost(price, written))
