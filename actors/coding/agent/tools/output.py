"""Output of commands as text: bounded for the model, and safe to show."""

import codecs
import re

_HEAD, _TAIL = 10_000, 20_000  # characters that a result keeps: 7,500 tokens; errors stand at the end
_HELD = 64  # characters of an unfinished escape sequence that are held back: none that we know is longer

_COLOUR = r"\x1b\[[0-9;:]*m"
_ESCAPES = re.compile(
    rf"(?P<colour>{_COLOUR})"
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # other control sequences: they move the cursor, clear, switch modes
    r"|\x1b[\]P_^X][^\x07\x1b]*(?:\x07|\x1b\\)"  # strings: titles, links, the clipboard
    r"|\x1b[ -/]*[0-~]"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"  # all but tab, line feed and carriage return
)
_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[\]P_^X][^\x07\x1b]*\x1b?|[ -/]*)?$")


class TerminalText:
    """Bytes of a terminal, in pieces, as text: colours stay, all other control sequences and characters go."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def feed(self, data: bytes, *, is_last: bool = False) -> str:
        text = self._held + self._decoder.decode(data, is_last)
        unfinished = _UNFINISHED.search(text, max(0, len(text) - _HELD))
        self._held = unfinished.group() if unfinished else ""
        text = text[: len(text) - len(self._held)]
        return _ESCAPES.sub(lambda found: found["colour"] or "", text)


def without_colours(text: str) -> str:
    return re.sub(_COLOUR, "", text)


class Kept:
    """The head and the tail of a text that may be long."""

    def __init__(self, head: int = _HEAD, tail: int = _TAIL) -> None:
        self._most_head, self._most_tail = head, tail
        self._head = self._tail = ""
        self._cut = 0

    def add(self, text: str) -> None:
        room = self._most_head - len(self._head)
        self._head += text[:room]
        tail = self._tail + text[room:]
        self._cut += max(0, len(tail) - self._most_tail)
        self._tail = tail[-self._most_tail :]

    def text(self) -> str:
        if not self._cut:
            return self._head + self._tail
        return f"{self._head}\n[… {self._cut:,} characters left out here …]\n{self._tail}"


def bounded(text: str, head: int = _HEAD, tail: int = _TAIL) -> str:
    kept = Kept(head, tail)
    kept.add(text)
    return kept.text()
