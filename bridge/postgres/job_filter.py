"""Which jobs are meant: `status:failed queue:reports older:2h timeout`, the same in the pages and the command line."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from typing import Any
from uuid import UUID

from bridge.errors import BridgeError
from bridge.job import Status
from bridge.postgres.json_text import NOT_STORABLE
from bridge.postgres.search_words import search_words

_WORD = re.compile(r'(?:(?P<name>[a-z_]+):)?(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>\S+))\s*')
_AGE = re.compile(r"(\d{1,9})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_FINGERPRINT = re.compile(r"[0-9a-f]{8}")
_OLDEST = timedelta(
    days=365_000
)  # a thousand years: no job is so old, and Postgres has no time seven thousand years ago
_INTEGER_MOST = 2**31 - 1  # Postgres' largest integer
CHOSEN_MOST = 100  # jobs chosen one by one: two pages of them
LONGEST = 40 * CHOSEN_MOST  # characters: each chosen job needs 37, and a filter that a person writes a hundred in all


class FilterError(BridgeError):
    """A filter that cannot be read: one line that says which word, and what is possible."""


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Conditions that all hold. None: any job."""

    status: Status | None = None
    queue: str | None = None
    actor: str | None = None
    session: UUID | None = None
    error: str | None = None  # a part of the error message, in small or capital letters
    older: timedelta | None = None  # its last change (made, claimed or ended) is at least so long ago
    attempt: int | None = None  # at least so many attempts have failed
    text: str | None = None  # words of the prompt or the error message, in small or capital letters: all of them occur
    fingerprint: str | None = None  # what its error has in common with others (error_fingerprint); of failed jobs only
    id: tuple[UUID, ...] | None = None  # one of these, which a person has chosen: with no condition but the status

    def params(self) -> dict[str, Any]:
        """The parameters of the statements that take a filter."""
        written = {"text": None if self.text is None else search_words(self.text)}
        return asdict(self) | written | {"id": None if self.id is None else list(self.id)}

    def __str__(self) -> str:
        """The text that `parse_filter` reads as this filter."""
        given = ((field.name, getattr(self, field.name)) for field in fields(self))
        return " ".join(_written(name, value) for name, value in given if value is not None)


def parse_filter(text: str) -> JobFilter:
    """Read a filter. Raises FilterError for a qualifier that does not exist, or a value that it cannot have."""
    if len(text) > LONGEST:
        raise FilterError(f"The filter is longer than {LONGEST} characters")
    if NOT_STORABLE.search(text):
        raise FilterError("The filter contains characters that Postgres cannot store")
    found: dict[str, Any] = {}
    words: list[str] = []
    for match in _WORD.finditer(text.strip()):
        value = re.sub(r"\\(.)", r"\1", match["quoted"]) if match["quoted"] is not None else match["plain"]
        name = match["name"]
        if name is None:
            words.append(value)
        elif name in found:
            raise FilterError(f"{name}: occurs twice; a job has one")
        else:
            found[name] = _read(name, value)
    if words:
        found["text"] = " ".join(words)
        if not search_words(found["text"]):
            raise FilterError("The search has no word: write letters or digits")
    if "fingerprint" in found and found.setdefault("status", Status.FAILED) is not Status.FAILED:
        raise FilterError(f"fingerprint: only failed jobs have one, not {found['status']} ones")
    if "id" in found and not found.keys() <= {"id", "status"}:
        raise FilterError("id: says which jobs; it goes together with status: only")
    return JobFilter(**found)


def _read(name: str, value: str) -> Any:
    readers: Mapping[str, Any] = {
        "status": _status, "queue": str, "actor": str, "session": _session, "error": str, "older": _age,
        "attempt": _attempt, "fingerprint": _fingerprint, "id": _ids,
    }  # fmt: skip
    if name not in readers:
        raise FilterError(f"{name}: is no qualifier; there are {', '.join(readers)}. To search for it, quote the word")
    return readers[name](value)


def _status(value: str) -> Status:
    try:
        return Status(value.lower())
    except ValueError:
        raise FilterError(f"status: must be one of {', '.join(Status)}") from None


def _session(value: str) -> UUID:
    try:
        return UUID(value)
    except ValueError:
        raise FilterError("session: must be a UUID") from None


def _age(value: str) -> timedelta:
    match = _AGE.fullmatch(value)
    if match is None:
        raise FilterError("older: must be a number with s, m, h, d or w, such as 2h")
    try:
        age = timedelta(**{_UNITS[match[2]]: int(match[1])})
    except OverflowError:
        age = timedelta.max
    if age > _OLDEST:
        raise FilterError("older: is too long ago")
    return age


def _attempt(value: str) -> int:
    if not value.isdecimal() or int(value) > _INTEGER_MOST:
        raise FilterError("attempt: must be a number of failed attempts, such as 2")
    return int(value)


def _fingerprint(value: str) -> str:
    if not _FINGERPRINT.fullmatch(value):
        raise FilterError("fingerprint: must be eight characters 0-9 and a-f, as the page of dead letters shows them")
    return value


def _ids(value: str) -> tuple[UUID, ...]:
    try:
        ids = tuple(dict.fromkeys(UUID(one) for one in value.split(",")))
    except ValueError:
        raise FilterError("id: must be UUIDs, with commas between them") from None
    if len(ids) > CHOSEN_MOST:
        raise FilterError(f"id: takes {CHOSEN_MOST} jobs at most; for more of them use a condition that they share")
    return ids


def _written(name: str, value: Any) -> str:
    if isinstance(value, timedelta):
        value = f"{int(value.total_seconds())}s"
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    plain = re.fullmatch(r'[^\s":]+', text) or (name != "text" and re.fullmatch(r'[^\s"]+', text))
    quoted = text if plain else '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
    return quoted if name == "text" else f"{name}:{quoted}"
