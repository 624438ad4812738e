"""The tokens of a conversation: how many it may have before it is sent, and what a request can cost at the most."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from actors.coding.agent.prices import Price, cost, most
from actors.coding.agent.runner import OverBudget, Record, Usage

# Bytes for a token. Text and code have 3 to 4: a request uses less than is set aside for it.
_FEWEST, _LIKELY = 2, 3.5


class Spending:
    """Sets money aside before each request, and says afterwards what it has cost."""

    def __init__(self, record: Record, model: str, price: Price) -> None:
        self._record, self._model, self._price = record, model, price
        self._measured_bytes = 0
        self._measured_tokens = 0

    def reserve(self, body: Mapping[str, Any]) -> OverBudget | None:
        return self._record.reserve(
            most(self._price, Usage(self._model, self._tokens(body, _FEWEST), body["max_tokens"]))
        )

    def spend(self, usage: Usage) -> Usage:
        """Store what a request has used, with its cost; also nothing, since that frees what was set aside."""
        priced = replace(usage, cost_usd=round(cost(self._price, usage), 6))
        self._record.spend(priced)
        return priced

    def measure(self, body: Mapping[str, Any], usage: Usage) -> None:
        """The API has counted this request: only what comes later must be estimated."""
        self._measured_bytes = _size(body)
        self._measured_tokens = usage.input_tokens + usage.cache_write_tokens + usage.cache_read_tokens

    def likely_tokens(self, body: Mapping[str, Any]) -> int:
        return self._tokens(body, _LIKELY)

    def _tokens(self, body: Mapping[str, Any], bytes_each: float) -> int:
        """What the API has counted, and an estimate of what has come since."""
        size = _size(body)
        if size < self._measured_bytes:  # it was compacted
            self._measured_bytes = self._measured_tokens = 0
        return self._measured_tokens + int((size - self._measured_bytes) / bytes_each)


def _size(body: Mapping[str, Any]) -> int:
    return len(json.dumps({name: body[name] for name in ("system", "tools", "messages")}, ensure_ascii=False).encode())
