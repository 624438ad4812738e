"""The agent on `claude-agent-sdk`: Claude Code makes the requests and hands out the calls; all is stored as ever."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from actors.coding.agent.agent_sdk.claude_code import ClaudeCode
from actors.coding.agent.agent_sdk.gateway import Gateway
from actors.coding.agent.agent_sdk.model import ClaudeCodeModel, Requests
from actors.coding.agent.claude.asking import FIRST_WAIT_SECONDS, Asking
from actors.coding.agent.claude.claude import COMPACT_TOKENS, Claude
from actors.coding.agent.claude.link import Link
from actors.coding.agent.claude.spending import Spending
from actors.coding.agent.prices import price_of
from actors.coding.agent.runner import Ending, Events, Turn
from actors.coding.agent.tools.registry import TOOLS
from actors.coding.agent.tools.tool import Tool
from actors.coding.agent.turn_loop import TurnLoop
from actors.coding.sandbox.base import Sandbox


class AgentSdkLoop:
    """An `AgentRunner`. `program` is Claude Code; the rest is as for `ClaudeLoop`, and so are the endings.

    Claude Code that ends by itself, or asks nothing → Retry.
    """

    name = "claude-agent-sdk"

    def __init__(
        self,
        program: Path,
        key: str,
        base_url: str | None = None,
        *,
        price: str | None = None,
        tools: Mapping[str, Tool] = TOOLS,
        first_wait_seconds: float = FIRST_WAIT_SECONDS,
        compact_tokens: int = COMPACT_TOKENS,
    ) -> None:
        self._program, self._key, self._base_url, self._price, self._tools = program, key, base_url, price, tools
        self._first_wait_seconds, self._compact_tokens = first_wait_seconds, compact_tokens

    def run_turn(self, turn: Turn, sandbox: Sandbox, events: Events) -> Ending:
        spending = Spending(turn.record, turn.model, price_of(turn.model, datetime.now(UTC).date(), self._price))
        with (
            Link(self._key, self._base_url) as link,
            Gateway() as gateway,
            ClaudeCode(self._program, turn.model, self._tools, gateway) as claude_code,
        ):
            asking = Asking(turn, link, spending, first_wait_seconds=self._first_wait_seconds)
            requests = Requests(turn, self._tools, gateway, claude_code)
            claude = Claude(requests.body, asking, spending, events, compact_tokens=self._compact_tokens)
            return TurnLoop(turn, sandbox, events, ClaudeCodeModel(claude, requests), self._tools).run()
