"""Puts a message together from the raw events of its stream, as the API sent it, and shows its texts meanwhile."""

import json
from collections.abc import Mapping
from typing import Any

from actors.coding.agent.conversation import text_block
from actors.coding.agent.model import CUT_OFF, CUT_STOPS, Reply
from actors.coding.agent.runner import Events, Json, Usage

_SHOWN = {"text_delta": ("text", "text"), "thinking_delta": ("thinking", "thinking")}
_KEPT_OF_CUT = 500  # characters of an input that was cut off: it tells the model where it was
_BYTES = 2  # for a token, at least: to estimate the tokens of an answer that broke off


class Answer:
    """One message of the model on its way. `number` is its place in the conversation."""

    def __init__(self, events: Events, number: int) -> None:
        self._events, self._number = events, number
        self._blocks: dict[int, dict[str, Any]] = {}
        self._inputs: dict[int, list[str]] = {}
        self._open: set[int] = set()
        self._usage: dict[str, int] = {}
        self._stop: str | None = None
        self._received = 0
        self.is_complete = False
        self.was_shown = False

    def take(self, event: Json) -> None:
        match event["type"]:
            case "message_start":
                self._count(event["message"].get("usage"))
            case "content_block_start":
                self._start(event["index"], dict(event["content_block"]))
            case "content_block_delta":
                self._extend(event["index"], event["delta"])
            case "content_block_stop":
                self._open.discard(event["index"])
            case "message_delta":
                self._stop = event["delta"].get("stop_reason") or self._stop
                self._count(event.get("usage"))
            case "message_stop":
                self.is_complete = True

    def reply(self, usage: Usage) -> Reply:
        blocks = [self._whole(index, block) for index, block in sorted(self._blocks.items())]
        content = [block for block in blocks if block["type"] != "text" or block["text"].strip()]
        # The API takes back neither an empty message nor an empty text.
        return Reply(content or [text_block("[no answer]")], self._stop or "end_turn", usage)

    def usage(self, model: str) -> Usage:
        """What it has used. Of an answer that broke off, no less than what has come."""
        least = 0 if self.is_complete else self._received // _BYTES
        return Usage(
            model=model,
            input_tokens=self._usage.get("input_tokens", 0),
            output_tokens=max(self._usage.get("output_tokens", 0), least),
            cache_write_tokens=self._usage.get("cache_creation_input_tokens", 0),
            cache_read_tokens=self._usage.get("cache_read_input_tokens", 0),
        )

    def _count(self, usage: Mapping[str, Any] | None) -> None:
        self._usage |= {name: value for name, value in (usage or {}).items() if isinstance(value, int)}

    def _start(self, index: int, block: dict[str, Any]) -> None:
        self._blocks[index] = block
        self._open.add(index)
        if block["type"] == "tool_use":
            self._inputs[index] = []

    def _extend(self, index: int, delta: Json) -> None:
        block, kind = self._blocks[index], delta["type"]
        if kind in _SHOWN:
            event_type, key = _SHOWN[kind]
            block[key] = block.get(key, "") + delta[key]
            self._received += len(delta[key].encode())
            self._events.text(event_type, delta[key], {"message": self._number})
            self.was_shown = True
        elif kind == "input_json_delta":
            self._inputs[index].append(delta["partial_json"])
            self._received += len(delta["partial_json"])
        elif kind == "signature_delta":
            block["signature"] = block.get("signature", "") + delta["signature"]
        elif kind == "citations_delta":
            block["citations"] = [*(block.get("citations") or ()), delta["citation"]]

    def _whole(self, index: int, block: dict[str, Any]) -> dict[str, Any]:
        if index not in self._inputs:
            return block
        received = "".join(self._inputs[index])
        try:
            call_input = json.loads(received or "{}")
        except ValueError:
            call_input = None
        is_cut = not isinstance(call_input, dict) or (self._stop in CUT_STOPS and index in self._open)
        return {**block, "input": {CUT_OFF: received[:_KEPT_OF_CUT]} if is_cut else call_input}
