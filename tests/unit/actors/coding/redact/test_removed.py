"""Pieces are taken out of a text, and their places are known."""

import re

from actors.coding.redact.removed import divide, place_with, without

STARS = re.compile(r"(\*+)")


def test_a_text_without_them_and_their_places() -> None:
    assert without(STARS, "*ab**c*") == ("abc", [(0, "*"), (2, "**"), (3, "*")])
    assert without(STARS, "abc") == ("abc", [])


def test_each_character_is_found_again() -> None:
    text = "*ab**c*d"
    left, removed = without(STARS, text)

    assert [text[place_with(removed, place)] for place in range(len(left))] == list(left)


def test_those_up_to_a_place_and_those_after_it() -> None:
    removed = [(0, "a"), (2, "b"), (3, "c")]

    assert divide(removed, 2) == ([(0, "a"), (2, "b")], [(1, "c")])
