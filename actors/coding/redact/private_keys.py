"""Private keys in PEM: from the first line to the last one, or to what cannot belong to a key."""

import re
from collections.abc import Iterator

from actors.coding.redact.found import Beginning, Found

_CHARACTERS = r"[A-Za-z0-9+/=\s\\:,-]"  # also the `\n` of JSON, and the header lines of encrypted keys
_LABEL = r"(?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
_HINT = "PRIVATE KEY"
_FIRST_LINE = re.compile(rf"-----BEGIN {_LABEL}(?=\s|\\[nr])(?={_CHARACTERS}{{20}})")
_LAST_LINE = re.compile(r"-----END [A-Z0-9 ]{1,40}-----")
_LAST_LINE_LENGTH = 54  # the longest that the pattern matches
_STRANGE = re.compile(_CHARACTERS.replace("[", "[^", 1))
BEGINNING = Beginning(
    "-",
    re.compile(
        r"(?P<secret>-(?:-(?:-(?:-(?:-(?:B(?:E(?:G(?:I(?:N(?: "
        rf"(?:[A-Z0-9 ]{{0,50}}-{{0,4}}|{_LABEL}{_CHARACTERS}{{0,20}})"
        r")?)?)?)?)?)?)?)?)?)?)\Z"
    ),
    100,  # the longest first line, and the characters that make it one of a key
)


class _Key:
    """The rest of a private key."""

    def end(self, text: str, start: int) -> int | None:
        strange = _STRANGE.search(text, start)
        last = strange.start() if strange else len(text)
        for line in _LAST_LINE.finditer(text, max(0, start - _LAST_LINE_LENGTH), last):
            if line.end() > start:
                return line.end()
        return last if strange else None


_REST = _Key()


def private_keys_in(text: str) -> Iterator[Found]:
    if _HINT not in text:
        return
    first = _FIRST_LINE.search(text)
    while first:
        end = _REST.end(text, first.end())
        yield Found(first.start(), len(text) if end is None else end, _REST)
        first = _FIRST_LINE.search(text, len(text) if end is None else end)
