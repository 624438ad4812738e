"""What a listener hears."""

import json
from typing import Any

import psycopg


class NotificationRecorder:
    """A listener; `received` waits for a mark of its own, so that silence is certain."""

    def __init__(self, dsn: str, *channels: str) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True)
        for channel in (*channels, "mark"):
            self.connection.execute(f"LISTEN {channel}")

    def received(self) -> list[tuple[str, Any]]:
        self.connection.execute("NOTIFY mark")
        notes = []
        for note in self.connection.notifies(timeout=5):
            if note.channel == "mark":
                break
            notes.append((note.channel, json.loads(note.payload)))
        return notes
