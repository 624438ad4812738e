"""A text without certain pieces, and where they were."""

import re
from bisect import bisect_right
from itertools import accumulate
from operator import itemgetter

Removed = list[tuple[int, str]]
"""Each piece with its place in the text that is left."""


def without(pattern: re.Pattern[str], text: str) -> tuple[str, Removed]:
    """`pattern` has one group, of all that it matches."""
    pieces = pattern.split(text)
    if len(pieces) == 1:
        return text, []
    kept = pieces[::2]
    return "".join(kept), list(zip(accumulate(map(len, kept)), pieces[1::2], strict=False))


def place_with(removed: Removed, place: int) -> int:
    """Where the character at a place of the text that is left is in the text itself."""
    number = bisect_right(removed, place, key=itemgetter(0))
    return place + sum(len(piece) for _, piece in removed[:number])


def divide(removed: Removed, place: int) -> tuple[Removed, Removed]:
    """Those up to a place, and those after it, with their places from there."""
    number = bisect_right(removed, place, key=itemgetter(0))
    return removed[:number], [(at - place, piece) for at, piece in removed[number:]]
