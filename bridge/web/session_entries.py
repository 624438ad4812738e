"""What a single event says in the conversation of a session: its entry."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Data = Mapping[str, Any]

_SHOWN = 50_000  # characters of one text, its last ones: what a person looks through, and a bound for the page
_MARKS = {"done": "✓", "doing": "…", "open": "○"}


@dataclass(slots=True)
class Item:
    """One entry. `kind` is a class of the style sheet, `body` how its text is shown: prose, terminal or diff.

    `key` names an entry to which later events add. `before`: characters of its text that are left out.
    """

    kind: str
    title: str
    at: datetime
    text: str = ""
    body: str = "prose"
    key: str = ""
    intro: str = ""
    state: str = ""
    before: int = 0

    @property
    def shown(self) -> str:
        return self.text[-_SHOWN:]

    @property
    def is_cut(self) -> bool:
        return self.before > 0 or len(self.text) > _SHOWN


Entry = Callable[[str, Data, datetime], Item]


def entry_of(event_type: str, data: Data, at: datetime) -> Item:
    """The entry of an event to which no other one adds."""
    return _ENTRIES.get(event_type, _other)(event_type, data, at)


def text_of(value: Any) -> str:
    return "" if value is None else str(value)


def _prompt(_: str, data: Data, at: datetime) -> Item:
    turn = f" · turn {data['turn']}" if "turn" in data else ""
    by = " · stand-in, no model" if data.get("agent") == "scripted" else ""
    return Item("prompt", f"Prompt{turn}{by}", at, text_of(data.get("prompt", data.get("text"))))


def _change(_: str, data: Data, at: datetime) -> Item:
    if "files" in data:
        lines = f"lines added: {data.get('added', 0)}, removed: {data.get('removed', 0)}"
        return Item("note", "Saved", at, f"Files: {data['files']}, {lines}")
    counts = f" +{data['added']} −{data['removed']}" if "added" in data and "removed" in data else ""  # noqa: RUF001
    cut = " · cut" if data.get("diffCut") else " · binary" if data.get("binary") else ""
    return Item("change", f"{text_of(data.get('path'))}{counts}{cut}", at, text_of(data.get("diff")), "diff")


def _question(_: str, data: Data, at: datetime) -> Item:
    choices = "".join(f"\n• {text_of(choice)}" for choice in data.get("choices") or ())
    return Item("question", "Question", at, text_of(data.get("text")) + choices)


def _progress(_: str, data: Data, at: datetime) -> Item:
    steps = [step for step in data.get("items") or () if isinstance(step, Mapping)]
    listed = "\n".join(f"{_MARKS.get(text_of(step.get('status')), '○')} {text_of(step.get('text'))}" for step in steps)
    counts = f": {data['done']} of {data['total']} done" if {"done", "total"} <= data.keys() else ""
    return Item("progress", f"Steps{counts}", at, listed)


def _usage(_: str, data: Data, at: datetime) -> Item:
    read, written = (data.get(name) or 0 for name in ("inputTokens", "outputTokens"))
    cached = (data.get("cacheReadTokens") or 0) + (data.get("cacheWriteTokens") or 0)
    cost = data.get("costUsd")
    price = f", ${cost:.4f}" if isinstance(cost, int | float) else ""
    return Item("note", "Usage", at, f"{read + cached} tokens in, {written} out{price}")


def _completion(_: str, data: Data, at: datetime) -> Item:
    reason = f": {data['reason']}" if data.get("reason") else ""
    return Item("end", f"Turn {data['turn']} ended{reason}" if "turn" in data else f"Ended{reason}", at)


def _said(kind: str, title: str, *fields: str) -> Entry:
    return lambda _, data, at: Item(
        kind, title, at, text_of(next((data[name] for name in fields if name in data), None))
    )


def _compacted(_: str, data: Data, at: datetime) -> Item:  # noqa: ARG001 -- as all of them
    return Item("note", "Notice", at, "What was said so far goes on as a summary.")


def _preview(_: str, data: Data, at: datetime) -> Item:
    return Item("note", "Preview", at, f"Port {data.get('port')} is at {data.get('url')}")


def _other(event_type: str, data: Data, at: datetime) -> Item:
    text = data["text"] if isinstance(data.get("text"), str) else json.dumps(data, indent=2, ensure_ascii=False)
    return Item("note", event_type, at, text, "terminal")


_ENTRIES: dict[str, Entry] = {
    "turn_started": _prompt,
    "prompt": _prompt,
    "answer": _said("prompt", "Answer", "text"),
    "question": _question,
    "file_change": _change,
    "preview": _preview,
    "progress": _progress,
    "usage": _usage,
    "notice": _said("note", "Notice", "text"),
    "compacted": _compacted,
    "error": _said("error", "Error", "message", "text"),
    "completion": _completion,
}
