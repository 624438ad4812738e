"""What the fake Messages API answers: a scripted reply, as the events that the real API streams it in."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Event = dict[str, Any]


@dataclass(frozen=True)
class Refused:
    """An answer with an error status instead of a stream."""

    status: int
    type: str
    message: str = "as scripted"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """One answer. `blocks`: {"thinking": …}, {"text": …}, or {"tool": name, "input": {…}} with an optional "id".

    `when`: it answers requests whose last message holds this text, wherever they stand in the conversation.
    The faults happen in the first `faulty` tries: `refused` gives one status for each of these tries; the others count
    events, and happen instead of the event at that place.
    """

    blocks: Sequence[Mapping[str, Any]] = ()
    stop: str | None = None
    usage: Mapping[str, int] = field(default_factory=dict)
    when: str | None = None
    chunk: int = 12
    delay: float = 0.0
    stamped: bool = False
    """Each piece of text says when it was sent: time.monotonic()."""
    faulty: int = 1
    refused: Sequence[Refused] = ()
    cut_after: int | None = None
    error_after: tuple[int, str] | None = None
    silent_after: int | None = None
    """-1: silent before the status line."""


def events(reply: Reply, number: int, model: str) -> Iterator[Event]:
    usage = {
        "input_tokens": 100,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 20,
    } | dict(reply.usage)
    yield {"type": "message_start", "message": _message(number, model, usage)}
    yield {"type": "ping"}
    for index, block in enumerate(reply.blocks):
        yield {"type": "content_block_start", "index": index, "content_block": _opening(block, number, index)}
        for delta in _deltas(block, number, reply.chunk):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        if not (reply.stop == "max_tokens" and index == len(reply.blocks) - 1):
            yield {"type": "content_block_stop", "index": index}
    stop = reply.stop or ("tool_use" if any("tool" in block for block in reply.blocks) else "end_turn")
    yield {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": usage}
    yield {"type": "message_stop"}


def _message(number: int, model: str, usage: Mapping[str, int]) -> Event:
    return {
        "id": f"msg_{number:04}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**usage, "output_tokens": 1},
    }


def _opening(block: Mapping[str, Any], number: int, index: int) -> Event:
    if "thinking" in block:
        return {"type": "thinking", "thinking": "", "signature": ""}
    if "text" in block:
        return {"type": "text", "text": ""}
    return {"type": "tool_use", "id": block.get("id", f"toolu_{number:04}_{index}"), "name": block["tool"], "input": {}}


def _deltas(block: Mapping[str, Any], number: int, chunk: int) -> Iterator[Event]:
    if "thinking" in block:
        for piece in _pieces(block["thinking"], chunk):
            yield {"type": "thinking_delta", "thinking": piece}
        yield {"type": "signature_delta", "signature": f"signature {number}"}
    elif "text" in block:
        for piece in _pieces(block["text"], chunk):
            yield {"type": "text_delta", "text": piece}
    else:
        # `json` is the text of an input that was cut off.
        for piece in ("", *_pieces(block.get("json") or json.dumps(block["input"]), chunk)):
            yield {"type": "input_json_delta", "partial_json": piece}


def _pieces(text: str, chunk: int) -> list[str]:
    return [text[place : place + chunk] for place in range(0, len(text), chunk)]
