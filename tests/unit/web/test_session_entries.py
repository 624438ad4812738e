"""What a single event says."""

from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.web.session_entries import entry_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("event_type", "data", "kind", "title", "text"),
    [
        ("turn_started", {"turn": 2, "prompt": "go", "agent": "claude"}, "prompt", "Prompt · turn 2", "go"),
        ("turn_started", {"turn": 1, "prompt": "go", "agent": "scripted"}, "prompt",
         "Prompt · turn 1 · stand-in, no model", "go"),
        ("file_change", {"path": "a.py", "change": "modified", "added": 2, "removed": 1, "diff": "+x"}, "change",
         "a.py +2 −1", "+x"),  # noqa: RUF001 -- a minus
        ("file_change", {"path": "a.png", "binary": True}, "change", "a.png · binary", ""),
        ("file_change", {"commit": "c", "files": 3, "added": 5, "removed": 0}, "note", "Saved",
         "Files: 3, lines added: 5, removed: 0"),
        ("prompt", {"text": "and blue"}, "prompt", "Prompt", "and blue"),
        ("usage", {"inputTokens": 10, "cacheReadTokens": 5, "outputTokens": 3, "costUsd": 0.5}, "note", "Usage",
         "15 tokens in, 3 out, $0.5000"),
        ("notice", {"text": "restored"}, "note", "Notice", "restored"),
        ("error", {"message": "boom"}, "error", "Error", "boom"),
        ("error", {"text": "of an older actor"}, "error", "Error", "of an older actor"),
        ("completion", {"turn": 1, "success": True, "reason": None}, "end", "Turn 1 ended", ""),
        ("completion", {"turn": 1, "reason": "time"}, "end", "Turn 1 ended: time", ""),
        ("completion", {}, "end", "Ended", ""),
        ("preview", {"port": 80, "url": "https://x"}, "note", "Preview", "Port 80 is at https://x"),
        ("own", {"text": "said"}, "note", "own", "said"),
        ("own", {"text": 5}, "note", "own", '{\n  "text": 5\n}'),
    ],
)  # fmt: skip
def test_an_event_becomes_an_entry(event_type: str, data: Any, kind: str, title: str, text: str) -> None:
    item = entry_of(event_type, data, NOW)

    assert (item.kind, item.title, item.text) == (kind, title, text)
