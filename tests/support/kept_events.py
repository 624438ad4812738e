"""The events of a turn, kept for a test."""

from actors.coding.agent.runner import Json


class KeptEvents:
    def __init__(self) -> None:
        self.all: list[tuple[str, Json]] = []
        self.flushes = 0

    def emit(self, event_type: str, data: Json) -> None:
        self.all.append((event_type, data))

    def text(self, event_type: str, piece: str, fields: Json) -> None:
        self.all.append((event_type, {**fields, "text": piece}))

    def redacted(self, data: Json) -> Json:
        return data

    def flush(self) -> None:
        self.flushes += 1

    def of(self, event_type: str) -> list[Json]:
        return [data for kind, data in self.all if kind == event_type]
