"""The fields of a log line."""

from typing import Any


class LogFields(dict[str, object]):
    """Fields that several lines share: a formatter makes their text once, and keeps it here."""

    __slots__ = ("text",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.text: str | None = None
