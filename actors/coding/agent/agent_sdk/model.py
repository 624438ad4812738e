"""Claude, asked with the requests of Claude Code: as the `Model` of a turn."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from actors.coding.agent.agent_sdk.answers import stream_of
from actors.coding.agent.agent_sdk.claude_code import ClaudeCode
from actors.coding.agent.agent_sdk.command import TOOL_PREFIX
from actors.coding.agent.agent_sdk.gateway import Gateway, Request
from actors.coding.agent.claude.claude import Claude
from actors.coding.agent.claude.request import MAX_TOKENS, cached, described, sent
from actors.coding.agent.model import Reply
from actors.coding.agent.runner import Message, OverBudget, Turn
from actors.coding.agent.tools.tool import Tool
from bridge import NotOursError, Retry

_REQUEST_SECONDS = 60.0  # until Claude Code asks: it starts in one, and takes less between two requests


class Requests:
    """What Claude Code asks, with the stored conversation in the place of its own.

    So an interrupted turn needs no session of Claude Code, and the model sees what is stored, and nothing of
    the worker's machine, which Claude Code would describe.
    """

    def __init__(self, turn: Turn, tools: Mapping[str, Tool], gateway: Gateway, claude_code: ClaudeCode) -> None:
        self._turn, self._tools, self._gateway, self._claude_code = turn, tools, gateway, claude_code
        self._open: Request | None = None

    def body(self, messages: Sequence[Message]) -> dict[str, Any]:
        """Raises bridge.Retry: Claude Code does not ask. NotOursError: the job was cancelled meanwhile."""
        if self._open is None:
            self._open = self._next()
        asked = self._open.body
        return {
            "model": self._turn.model,
            "max_tokens": min(asked["max_tokens"], MAX_TOKENS),
            "system": cached([_unmarked(block) for block in asked["system"]]),
            "tools": cached(described(self._tools)),
            "messages": sent(messages),
            **(self._of_claude(self._open) if self._turn.model.startswith("claude-") else {}),
        }

    @staticmethod
    def _of_claude(request: Request) -> dict[str, Any]:
        """What Claude's models alone take."""
        taken = {name: request.body[name] for name in ("thinking", "output_config") if name in request.body}
        if taken.get("thinking", {}).get("type") == "adaptive":
            taken["thinking"] = {**taken["thinking"], "display": "summarized"}  # without it no text of it comes
        return taken | ({"extra_headers": {"anthropic-beta": request.betas}} if request.betas else {})

    def answer(self, reply: Reply) -> None:
        assert self._open is not None
        self._open.answer(stream_of(reply.content, self._turn.model, TOOL_PREFIX))
        self._open = None

    def _next(self) -> Request:
        self._claude_code.go_on()
        ends_at = time.monotonic() + _REQUEST_SECONDS
        while (left := ends_at - time.monotonic()) > 0:
            with self._turn.interruptible(self._gateway.wake):
                request = self._gateway.take(left)
            if self._turn.is_cancelled():
                raise NotOursError("the job was cancelled before Claude Code asked the model")
            if request is not None:
                self._claude_code.was_asked()
                return request
            if self._claude_code.failure is not None:
                raise Retry(f"Claude Code has ended: {self._claude_code.failure}")
        raise Retry(f"Claude Code did not ask the model within {_REQUEST_SECONDS:g} s")


class ClaudeCodeModel:
    def __init__(self, claude: Claude, requests: Requests) -> None:
        self._claude, self._requests = claude, requests

    def reply(self, messages: Sequence[Message]) -> Reply | OverBudget:
        reply = self._claude.reply(messages)
        if isinstance(reply, Reply):
            self._requests.answer(reply)
        return reply

    def compacted(self, messages: Sequence[Message]) -> Sequence[Message] | OverBudget | None:
        return self._claude.compacted(messages)


def _unmarked(block: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in block.items() if name != "cache_control"}
