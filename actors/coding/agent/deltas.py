"""The stream of a session: pieces of text are joined and sent in batches, and nothing is sent that is not redacted."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self

from actors.coding.agent.runner import Json
from bridge.errors import BridgeError

# A text that goes on is sent in longer batches: of 1,000 pieces, 80 a second, 160 rows are made instead of 250.
_QUICK_BATCHES, _SLOWER = 10, 1.6
_ROW_CHARACTERS = 64 * 1024  # of text in one event: Supabase Realtime carries 1 MB, and JSON may need six bytes for one
_KEYS = {"terminal": "output"}  # the field that the text is in, where it is not `text`


class Redactor(Protocol):
    """Takes a text in pieces, and gives it back without its secrets."""

    def feed(self, text: str) -> str:
        """What can be shown by now. The rest is held back: it may be the beginning of a secret."""

    def end(self) -> str:
        """The rest."""


class EventStream:
    """The `Events` of a turn, over a job's `emit` and `flush`: `with EventStream(…) as events`.

    The first piece of a text is sent at once, those after it at most once in `flush_seconds`, in events that have the
    text's `fields` and `offset`: how many of its characters came before. Offset 0 begins the text of these fields anew.
    """

    def __init__(
        self,
        emit: Callable[[str, Mapping[str, Any]], None],
        flush: Callable[[], None],
        new_redactor: Callable[[], Redactor],
        *,
        flush_seconds: float,
    ) -> None:
        self._emit, self._flush, self._new_redactor = emit, flush, new_redactor
        self._flush_seconds = flush_seconds
        self._text: _Text | None = None
        self._changed = threading.Condition(threading.RLock())
        self._is_closed = False
        self._failure: BridgeError | None = None

    def __enter__(self) -> Self:
        threading.Thread(target=self._send_in_time, name="events", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._end_text()
            self._is_closed = True
            self._changed.notify()

    def emit(self, event_type: str, data: Json) -> None:
        with self._changed:
            self._end_text()
            self._emit(event_type, self.redacted(data))

    def text(self, event_type: str, piece: str, fields: Json) -> None:
        with self._changed:
            if self._text is None or not self._text.is_of(event_type, fields):
                self._end_text()
                self._text = _Text(event_type, fields, self._new_redactor())
            was_empty = not self._text.pending
            self._text.add(self._text.redactor.feed(piece))
            if self._text.due_at <= time.monotonic():
                self._send()
            elif was_empty:
                self._changed.notify()

    def redacted(self, data: Json) -> Json:
        return {name: self._redact(value) for name, value in data.items()}

    def flush(self) -> None:
        with self._changed:
            self._end_text()
            if self._failure is not None:
                raise self._failure
        self._flush()

    def _redact(self, value: Any) -> Any:
        match value:
            case str():
                redactor = self._new_redactor()
                return redactor.feed(value) + redactor.end()
            case Mapping():
                return self.redacted(value)
            case list() | tuple():
                return [self._redact(part) for part in value]
            case _:
                return value

    def _end_text(self) -> None:
        if self._text is not None:
            self._text.add(self._text.redactor.end())
            self._send()
            self._text = None

    def _send(self) -> None:
        """Send what is pending. It is no longer pending then, even if an interrupt comes: no piece is sent twice."""
        if self._text is not None and self._text.pending:
            event_type, batch = self._text.event_type, self._text.take_batch(self._flush_seconds)
            for data in batch:
                self._emit(event_type, data)

    def _send_in_time(self) -> None:
        """Runs in a thread of its own: a model that says no more must not keep back what it has said."""
        with self._changed:
            while not self._is_closed:
                text = self._text
                wait = text.due_at - time.monotonic() if text is not None and text.pending else None
                if wait is not None and wait <= 0:
                    self._send_or_keep_failure()
                else:
                    self._changed.wait(wait)

    def _send_or_keep_failure(self) -> None:
        try:
            self._send()
        except BridgeError as error:
            self._failure = error  # for the turn's thread: it flushes before it goes on


class _Text:
    """One text on its way."""

    def __init__(self, event_type: str, fields: Json, redactor: Redactor) -> None:
        self.event_type, self.redactor = event_type, redactor
        self.pending: list[str] = []
        self.due_at = 0.0
        self._fields = fields
        self._offset = self._batches = 0

    def is_of(self, event_type: str, fields: Json) -> bool:
        return self.event_type == event_type and self._fields == fields

    def add(self, safe: str) -> None:
        if safe:
            self.pending.append(safe)

    def take_batch(self, flush_seconds: float) -> list[dict[str, Any]]:
        """The events of what is pending; sets when the next batch is due."""
        joined = "".join(self.pending)
        self.pending.clear()
        self._batches += 1
        self.due_at = time.monotonic() + flush_seconds * (1 if self._batches <= _QUICK_BATCHES else _SLOWER)
        key = _KEYS.get(self.event_type, "text")
        rows = []
        for start in range(0, len(joined), _ROW_CHARACTERS):
            part = joined[start : start + _ROW_CHARACTERS]
            rows.append({**self._fields, key: part, "offset": self._offset})
            self._offset += len(part)
        return rows
