"""What Claude Code gets is what the model has said: read back here as our own loop reads the API."""

import json
from typing import Any

from actors.coding.agent.agent_sdk.answers import stream_of
from actors.coding.agent.claude.answer import Answer
from actors.coding.agent.model import Reply
from tests.support.kept_events import KeptEvents

CONTENT: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "Hm.", "signature": "s"},
    {"type": "text", "text": "Two\nlines, ü."},
    {"type": "tool_use", "id": "c1", "name": "bash", "input": {"command": "echo 'a\nb'"}},
    {"type": "redacted_thinking", "data": "…"},
]


def read(stream: bytes) -> Reply:
    answer = Answer(KeptEvents(), 1)
    for event in stream.decode().split("\n\n")[:-1]:
        name, data = event.split("\n", 1)
        told = json.loads(data.removeprefix("data: "))
        assert name == f"event: {told['type']}"
        answer.take(told)
    assert answer.is_complete
    return answer.reply(answer.usage("m"))


def test_each_block_comes_as_it_is_under_the_names_of_claude_codes_tools() -> None:
    reply = read(stream_of(CONTENT, "m", "mcp__us__"))

    assert reply.content == [*CONTENT[:2], {**CONTENT[2], "name": "mcp__us__bash"}, CONTENT[3]]
    assert reply.stop == "tool_use"


def test_without_a_call_its_turn_ends() -> None:
    assert read(stream_of(CONTENT[:2], "m", "")).stop == "end_turn"
