"""The conversation of a session, put together from its events. static/conversation.js goes on with those to come."""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from bridge.web.session_entries import Data, Item, entry_of, text_of

_INPUTS = ("command", "path", "question", "port")  # what says most about a call, in the tools that have it
_SPEAK_LATER = {"ask", "todo"}  # tools whose question or steps follow as an event of their own
# The message before such an event is whole.
_ENDS_MESSAGES = {"turn_started", "prompt", "tool_started", "usage", "compacted", "question", "answer", "completion"}
_ENDS_CALLS = {"turn_started", "error", "completion"}  # what runs on nevertheless says its end later
RUNNING, INTERRUPTED = "running", "interrupted"  # states of a call


def conversation(events: Iterable[Mapping[str, Any]], *, goes_on: bool = True) -> list[Item]:
    """What the events (`event_type`, `data`, `created_at`) say, in their order. `goes_on`: a turn runs, or waits."""
    told = _Conversation()
    for event in events:
        told.add(event["event_type"], event["data"], event["created_at"])
    if not goes_on:
        told.end_calls()
    return told.items


class _Conversation:
    def __init__(self) -> None:
        self.items: list[Item] = []
        self._keyed: dict[str, Item] = {}
        self._adders: dict[str, Callable[[str, Data, datetime], None]] = {
            "text": self._say, "thinking": self._say, "terminal": self._print, "tool_started": self._start_call,
            "tool_finished": self._finish_call, "retracted": self._retract,
        }  # fmt: skip

    def add(self, event_type: str, data: Any, at: datetime) -> None:
        if event_type in _ENDS_MESSAGES:
            self._end_messages()
        if event_type in _ENDS_CALLS:
            self.end_calls()
        if not isinstance(data, Mapping):
            data = {"value": data}
        adder = self._adders.get(event_type)
        if adder is not None:
            adder(event_type, data, at)
        else:
            self.items.append(entry_of(event_type, data, at))

    def _say(self, kind: str, data: Data, at: datetime) -> None:
        shown, title = ("thinking", "Thinking") if kind == "thinking" else ("said", "Agent")
        self._extend(Item(shown, title, at, key=_key(kind, data.get("message"))), data, text_of(data.get("text")))

    def _print(self, _: str, data: Data, at: datetime) -> None:
        call = Item("call", "Terminal", at, body="terminal", key=_key("call", data.get("callId")))
        call.intro = text_of(data.get("command"))
        self._extend(call, data, text_of(data.get("output", data.get("text"))))

    def _extend(self, new: Item, data: Data, text: str) -> None:
        """Add to the entry of the same key. What has offset 0 begins its text anew."""
        item, offset = self._keyed.get(new.key), data.get("offset")
        if item is None:
            new.before = offset if isinstance(offset, int) else 0
            item = self._append(new)
        elif offset == 0:
            item.text, item.before = "", 0
        item.text += text

    def _start_call(self, _: str, data: Data, at: datetime) -> None:
        if data.get("tool") in _SPEAK_LATER:
            return
        new = Item("call", text_of(data.get("tool")), at, body="terminal", key=_key("call", data.get("callId")))
        item = self._keyed.get(new.key) or self._append(new)
        item.title, item.intro, item.state = new.title, _input(data.get("input")), RUNNING

    def _finish_call(self, _: str, data: Data, at: datetime) -> None:
        if data.get("tool") in _SPEAK_LATER and not data.get("isError"):
            return
        new = Item("call", text_of(data.get("tool")), at, body="terminal", key=_key("call", data.get("callId")))
        item = self._keyed.get(new.key) or self._append(new)
        item.state = "failed" if data.get("isError") else "done"
        item.text = item.text or text_of(data.get("content"))

    def _retract(self, _: str, data: Data, at: datetime) -> None:  # noqa: ARG002 -- as all of them
        """What was shown of a message that is not part of the conversation."""
        for kind in ("text", "thinking"):
            gone = self._keyed.pop(_key(kind, data.get("message")) or "-", None)
            self.items = [item for item in self.items if item is not gone]

    def _append(self, item: Item) -> Item:
        self.items.append(item)
        if item.key:
            self._keyed[item.key] = item
        return item

    def _end_messages(self) -> None:
        """A later message may have the same number: a conversation that is replaced by a summary counts anew."""
        for key, item in list(self._keyed.items()):
            if item.kind != "call":
                item.key = ""
                del self._keyed[key]

    def end_calls(self) -> None:
        for item in self.items:
            if item.state == RUNNING:
                item.state = INTERRUPTED


def _key(kind: str, name: Any) -> str:
    """Empty for events of other actors, which name nothing."""
    return "" if name is None else f"{kind}:{name}"


def _input(given: Any) -> str:
    """What a call is asked for, as a person reads it."""
    named = [given[name] for name in _INPUTS if name in given] if isinstance(given, Mapping) else []
    return str(named[0]) if named else "" if not given else json.dumps(given, ensure_ascii=False)
