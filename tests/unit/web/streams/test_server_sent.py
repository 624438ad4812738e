"""The form of an event."""

import json
from datetime import UTC, datetime
from uuid import UUID

from bridge.web.streams.server_sent import written

EVENT = {
    "seq": 7,
    "id": UUID(int=1),
    "session_id": UUID(int=2),
    "event_type": "terminal",
    "data": {"text": "a\n\nb: ä\r\n"},
    "created_at": datetime(2026, 1, 1, tzinfo=UTC),
}


def test_an_event_is_one_line_of_json_with_its_number_as_id() -> None:
    lines = written(EVENT).split("\n")

    assert lines[0] == "id: 7"
    assert lines[1].startswith("data: {")
    assert lines[2:] == ["", ""]
    assert json.loads(lines[1].removeprefix("data: ")) == {
        "seq": 7, "id": str(UUID(int=1)), "event_type": "terminal", "data": {"text": "a\n\nb: ä\r\n"},
        "created_at": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip
