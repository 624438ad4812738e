"""Secrets whose value is known, in the forms in which they get into output."""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

from actors.coding.redact.found import Found
from actors.coding.redact.removed import place_with, without

SHORTEST = 8  # characters: a shorter value is in ordinary text, too
_SHORTEST_LINE = 16  # of a value of several lines, as a key's last line may be a few characters
_WRAP = re.compile(r"([\r\n]+)")  # programs wrap base64: the lines are searched as one text
_LOST_AT_START = (0, 2, 3)  # characters of base64 that depend on the 0, 1 or 2 bytes before
_LOST_AT_END = (0, 3, 2)  # … and, with the padding, on what follows 0, 1 or 2 bytes of the last group


class KnownSecrets:
    """Values shorter than 8 characters are left out."""

    def __init__(self, values: Iterable[str]) -> None:
        self._forms = sorted({form for value in values for form in _forms(value)})
        self._by_first: dict[str, list[str]] = {}
        for form in self._forms:
            self._by_first.setdefault(form[0], []).append(form)
        self._longest = max(map(len, self._forms), default=0)

    def find(self, text: str) -> Iterator[Found]:
        joined, breaks = without(_WRAP, text)
        for form in self._forms:
            start = joined.find(form)
            while start >= 0:
                end = start + len(form)
                yield Found(place_with(breaks, start), place_with(breaks, end - 1) + 1)
                start = joined.find(form, end)

    def beginning(self, text: str, start: int) -> int | None:
        """Where from `start` on the end of the text may become one of the secrets."""
        start = max(start, len(text) - 2 * self._longest)  # twice: with line breaks
        joined, breaks = without(_WRAP, text[start:])
        for place, character in enumerate(joined):
            if any(form.startswith(joined[place:]) for form in self._by_first.get(character, ())):
                return start + place_with(breaks, place)
        return None


def _forms(value: str) -> Iterator[str]:
    lines = [line.strip() for line in value.replace("\\n", "\n").splitlines()]
    for line in lines:
        if len(line) >= (SHORTEST if len(lines) == 1 else _SHORTEST_LINE):
            encoded = quote(line, safe="")
            yield from (line, json.dumps(line)[1:-1], encoded, quote_plus(line), _lower_escapes(encoded))
            yield from _base64(line.encode())


def _lower_escapes(encoded: str) -> str:
    return re.sub("%..", lambda match: match[0].lower(), encoded)


def _base64(secret: bytes) -> Iterator[str]:
    """The characters that base64 of any text with the secret has, whatever is around it."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + secret).decode()
        whole = encoded[_LOST_AT_START[before] : len(encoded) - _LOST_AT_END[(before + len(secret)) % 3]]
        yield from (whole, whole.replace("+", "-").replace("/", "_"))
