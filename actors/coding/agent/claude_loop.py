"""The agent on Anthropic's Messages API: our own loop, so that each step is stored before the next."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial

from actors.coding.agent.claude.asking import FIRST_WAIT_SECONDS, Asking
from actors.coding.agent.claude.claude import COMPACT_TOKENS, Claude
from actors.coding.agent.claude.link import Link
from actors.coding.agent.claude.request import body
from actors.coding.agent.claude.spending import Spending
from actors.coding.agent.prices import price_of
from actors.coding.agent.runner import Ending, Events, Turn
from actors.coding.agent.tools.registry import TOOLS
from actors.coding.agent.tools.tool import Tool
from actors.coding.agent.turn_loop import TurnLoop
from actors.coding.sandbox.base import Sandbox


class ClaudeLoop:
    """An `AgentRunner`. `price`: what the operator says of the model's price, see `parse_price`; None: as we know it.

    An ending of a request is that of the turn: 400, 401, 402, 403, 404 → Fail; 429, 5xx, a cut or silent link, an error
    inside of the stream → four tries, then Retry, with the API's `retry-after`; a refusal, max_tokens → Finished.
    """

    name = "claude"

    def __init__(
        self,
        key: str,
        base_url: str | None = None,
        *,
        price: str | None = None,
        tools: Mapping[str, Tool] = TOOLS,
        first_wait_seconds: float = FIRST_WAIT_SECONDS,
        compact_tokens: int = COMPACT_TOKENS,
    ) -> None:
        self._key, self._base_url, self._price, self._tools = key, base_url, price, tools
        self._first_wait_seconds, self._compact_tokens = first_wait_seconds, compact_tokens

    def run_turn(self, turn: Turn, sandbox: Sandbox, events: Events) -> Ending:
        spending = Spending(turn.record, turn.model, price_of(turn.model, datetime.now(UTC).date(), self._price))
        with Link(self._key, self._base_url) as link:
            asking = Asking(turn, link, spending, first_wait_seconds=self._first_wait_seconds)
            bodies = partial(body, turn.model, tools=self._tools)
            claude = Claude(bodies, asking, spending, events, compact_tokens=self._compact_tokens)
            return TurnLoop(turn, sandbox, events, claude, self._tools).run()
