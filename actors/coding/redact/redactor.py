"""Takes secrets out of a text that comes in pieces: what is shown is safe, and nearly all is shown at once."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from actors.coding.redact import ansi, credentials, private_keys, tokens
from actors.coding.redact.found import Found, Rest
from actors.coding.redact.known import KnownSecrets
from actors.coding.redact.removed import divide, without

MARK = "[redacted]"
_BEGINNINGS = [tokens.BEGINNING, private_keys.BEGINNING, *credentials.BEGINNINGS]
_CONTEXT = 160  # characters of the past: more than what any pattern needs before what it can still find
_MOST_HELD = 4096  # characters of secrets that wait because a known one may begin in them
_SHORTEST_CUT = 12  # characters: so much of a known secret is taken out at the end of a text, which may be cut


class Redactor:
    """For one text: `feed` its pieces in order, then `end`.

    What cannot become a secret any more is given back at once. In place of a secret stands `[redacted]`. Colours stay,
    and do not hide what they are in the middle of.
    """

    def __init__(self, known: KnownSecrets) -> None:
        self._known = known
        self._past = ""  # what was given back already, as it came
        self._text, self._sequences = "", list[tuple[int, str]]()
        self._cut = ""  # the beginning of a sequence
        self._rest: Rest | None = None  # of a secret whose beginning was taken out

    def feed(self, piece: str) -> str:
        self._add(piece)
        text = self._past + self._text
        start = self._skip(text)
        secrets = _merged([*self._known.find(text), *_patterns_in(text)], start)
        end = self._held(text, start, secrets)
        return self._give(text, start, end, [secret for secret in secrets if secret.end <= end])

    def end(self) -> str:
        """What was held back. The next piece begins a new text."""
        cut, self._cut = self._cut, ""
        shown = self.feed("")
        text = self._past + self._text
        start = len(self._past)
        place = self._known.beginning(text, start)
        secrets = [] if place is None or len(text) - place < _SHORTEST_CUT else [Found(place, len(text))]
        shown += self._give(text, start, len(text), secrets)
        self._past, self._rest = "", None
        return shown + cut

    def _add(self, piece: str) -> None:
        raw = self._cut + piece
        end = ansi.cut_end(raw)
        self._cut = raw[end:]
        text, sequences = without(ansi.SEQUENCE, raw[:end])
        self._sequences += [(len(self._text) + place, sequence) for place, sequence in sequences]
        self._text += text

    def _skip(self, text: str) -> int:
        """Where the text begins again after the secret that the last piece ended in."""
        start = len(self._past)
        if self._rest is None:
            return start
        end = self._rest.end(text, start)
        if end is None:
            return len(text)
        self._rest = None
        return end

    def _held(self, text: str, start: int, secrets: list[Found]) -> int:
        """Where the text begins that has to wait."""
        after = secrets[-1].end if secrets else start
        places = [place for one in _BEGINNINGS if (place := one.place(text, after)) is not None]
        known = self._known.beginning(text, start)
        end = min([len(text), *places] if known is None else [known, *places])
        inside = next((secret for secret in secrets if secret.start < end < secret.end), None)
        if inside is None:
            return end
        return inside.start if len(text) - inside.start <= _MOST_HELD else len(text)

    def _give(self, text: str, start: int, end: int, secrets: list[Found]) -> str:
        """The text from what was given already up to `end`, without what is before `start`, and without secrets."""
        past = len(self._past)
        given, self._sequences = divide(self._sequences, end - past)
        edits = [(past, start, ""), *((past + place, past + place, sequence) for place, sequence in given)]
        edits += [(secret.start, secret.end, MARK) for secret in secrets]
        if secrets and secrets[-1].end == len(text):
            self._rest = secrets[-1].rest
        self._past, self._text = text[max(0, end - _CONTEXT) : end], text[end:]
        return _edited(text, past, end, edits)


def redacted(value: Any, known: KnownSecrets) -> Any:
    """A JSON value without the secrets in its texts."""
    match value:
        case str():
            redactor = Redactor(known)
            return redactor.feed(value) + redactor.end()
        case Mapping():
            return {key: redacted(one, known) for key, one in value.items()}
        case list() | tuple():
            return [redacted(one, known) for one in value]
        case _:
            return value


def _patterns_in(text: str) -> Iterator[Found]:
    yield from tokens.tokens_in(text)
    yield from private_keys.private_keys_in(text)
    yield from credentials.credentials_in(text)


def _merged(found: Iterable[Found], start: int) -> list[Found]:
    """In order, from `start` on, and those that overlap as one."""
    merged: list[Found] = []
    for one in sorted(found, key=lambda one: one.start):
        if one.end <= start:
            continue
        if merged and one.start < merged[-1].end:
            last = max(merged[-1], one, key=lambda one: (one.end, one.rest is not None))
            merged[-1] = Found(merged[-1].start, last.end, last.rest)
        else:
            merged.append(Found(max(one.start, start), one.end, one.rest))
    return merged


def _edited(text: str, start: int, end: int, edits: list[tuple[int, int, str]]) -> str:
    pieces = []
    for first, last, new in sorted(edits, key=lambda edit: edit[0]):
        if first > start:
            pieces.append(text[start:first])
        start = max(start, first, last)
        pieces.append(new)
    return "".join([*pieces, text[start:end]])
