"""The body of a request: instructions, tools and conversation, with marks where the API may cache."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from actors.coding.agent.claude.instructions import SYSTEM
from actors.coding.agent.conversation import merged
from actors.coding.agent.runner import Json, Message
from actors.coding.agent.tools.tool import Tool

MAX_TOKENS = 32_000  # of one message, thinking included: a file of 3,000 lines in one call

_CACHED = {"type": "ephemeral"}
_UNCACHEABLE = ("thinking", "redacted_thinking")
# Those that know only a budget of thinking, or none. What a gateway calls its models says nothing about it.
_WITHOUT_ADAPTIVE = re.compile(r"claude-(3|(opus|sonnet|haiku)-4(-[015])?(-\d{8})?$)")


def body(model: str, messages: Sequence[Message], tools: Mapping[str, Tool]) -> dict[str, Any]:
    asked = {
        "model": model,
        "max_tokens": MAX_TOKENS,
        "system": cached([{"type": "text", "text": SYSTEM}]),
        "tools": cached(described(tools)),
        "messages": sent(messages),
    }
    if model.startswith("claude-") and not _WITHOUT_ADAPTIVE.match(model):
        # Some models give what they say between calls as thinking, and its text only if it is asked for.
        asked["thinking"] = {"type": "adaptive", "display": "summarized"}
    return asked


def described(tools: Mapping[str, Tool]) -> list[Json]:
    return [
        {"name": tool.name, "description": tool.description, "input_schema": tool.schema} for tool in tools.values()
    ]


def cached(blocks: Sequence[Json]) -> list[Json]:
    """With a mark at the last one: what stands up to it is cached."""
    return [*blocks[:-1], {**blocks[-1], "cache_control": _CACHED}]


def sent(conversation: Sequence[Message]) -> list[dict[str, Any]]:
    """With marks at the last two messages of the user: this request writes the one, and reads what wrote the other."""
    messages: list[dict[str, Any]] = [{"role": one.role, "content": [*one.content]} for one in merged(conversation)]
    for message in [one for one in messages if one["role"] == "user"][-2:]:
        blocks: list[Json] = message["content"]
        place = next((at for at in reversed(range(len(blocks))) if blocks[at]["type"] not in _UNCACHEABLE), None)
        if place is not None:
            blocks[place] = {**blocks[place], "cache_control": _CACHED}
    return messages
