"""A message of the model as Claude Code takes it: the events of a stream, all at once."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from actors.coding.agent.conversation import calls_of
from actors.coding.agent.runner import Json, Message

_USAGE = {"input_tokens": 0, "output_tokens": 0}  # what it has cost is counted in the worker, where the budgets are


def stream_of(content: Sequence[Json], model: str, tool_prefix: str) -> bytes:
    """`tool_prefix`: what the names of our tools begin with in Claude Code."""
    has_calls = bool(calls_of(Message("assistant", content)))
    events = _events(content, model, tool_prefix, "tool_use" if has_calls else "end_turn")
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()


def _events(content: Sequence[Json], model: str, tool_prefix: str, stop: str) -> Iterator[Mapping[str, Any]]:
    message = {"id": "msg_gateway", "type": "message", "role": "assistant", "model": model, "content": []}
    unstopped = {"stop_reason": None, "stop_sequence": None}
    yield {"type": "message_start", "message": {**message, **unstopped, "usage": _USAGE}}
    for index, block in enumerate(content):
        opening, deltas = _parts(block, tool_prefix)
        yield {"type": "content_block_start", "index": index, "content_block": opening}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    yield {"type": "message_delta", "delta": {**unstopped, "stop_reason": stop}, "usage": _USAGE}
    yield {"type": "message_stop"}


def _parts(block: Json, tool_prefix: str) -> tuple[Json, Sequence[Json]]:
    """How a block opens, and what follows."""
    match block["type"]:
        case "text":
            return {"type": "text", "text": ""}, [{"type": "text_delta", "text": block["text"]}]
        case "tool_use":
            opening = {**block, "name": tool_prefix + block["name"], "input": {}}
            return opening, [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
        case "thinking":
            deltas = [
                {"type": "thinking_delta", "thinking": block["thinking"]},
                {"type": "signature_delta", "signature": block.get("signature", "")},
            ]
            return {"type": "thinking", "thinking": "", "signature": ""}, deltas
        case _:
            return block, []
