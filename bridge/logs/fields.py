"""The fields of a log line."""

from typing import Any


class LogFields(dict[str, object]):
    """Fields that several lines share. `text` caches them as a formatter writes them, so that it is done once."""

    __slots__ = ("text",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.text: str | None = None
