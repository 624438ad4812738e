"""The fields of a log line."""


class LogFields(dict[str, object]):
    """Fields that several lines share. `text` caches them as a formatter writes them, so that it is done once."""

    text: str | None = None
