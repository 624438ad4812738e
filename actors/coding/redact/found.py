"""Where a secret is in a text, and what still belongs to it when the text goes on."""

import re
from typing import NamedTuple, Protocol


class Rest(Protocol):
    def end(self, text: str, start: int) -> int | None:
        """Where a secret ends that goes on at `start`; None: perhaps not in this text. What is before is its past."""


class Found(NamedTuple):
    """`rest` of a secret that ends by itself is None."""

    start: int
    end: int
    rest: Rest | None = None


class Beginning(NamedTuple):
    """A pattern for the end of a text that may become a secret: its group `secret`.

    A text without `hint` has none; `window` is the longest one in characters, `before` what has to be before it.
    """

    hint: str
    pattern: re.Pattern[str]
    window: int
    before: int = 0

    def place(self, text: str, start: int) -> int | None:
        """Where it begins, from `start` on."""
        first = max(0, start - self.before, len(text) - self.window - self.before)
        if text.find(self.hint, first) < 0:
            return None
        match = self.pattern.search(text, first)
        return match.start("secret") if match and match.start("secret") >= start else None


class Run:
    """The rest of a secret is as many characters of a class as follow."""

    def __init__(self, characters: str) -> None:
        self._run = re.compile(f"[{characters}]*+")

    def end(self, text: str, start: int) -> int | None:
        match = self._run.match(text, start)
        end = match.end() if match else start
        return end if end < len(text) else None
