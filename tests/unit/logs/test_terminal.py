"""Untrusted texts on a terminal: which characters are shown, and how wide they are.

Rows of docs/reference/security.md: S29.
"""

import unicodedata

import pytest

from bridge.logs.terminal import cut, display_width, visible, visible_lines, wrap


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ~ text", "plain ~ text"),
        ("grüße, 日本語, 👍, שלום", "grüße, 日本語, 👍, שלום"),
        ("no-break\xa0and\u3000wide spaces", "no-break\xa0and\u3000wide spaces"),
        ("\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
        ("two\nlines\r\tand \x00\x7f", r"two\nlines\r\tand \x00\x7f"),
        ("\x9b31m\x85", r"\x9b31m\x85"),
        ("a\u202eb\u2066c\u2069\u061c", r"a\u202eb\u2066c\u2069\u061c"),
        ("a\u200bb\u200d\ufeff\u00ad\u2028", r"a\u200bb\u200d\ufeff\xad\u2028"),
        ("\U000e0041\ud800", r"\U000e0041\ud800"),
        ("\u0301alone, e\u0301 not", "\\u0301alone, e\u0301 not"),
        ("\x1b\u0301", r"\x1b\u0301"),
        ("e" + "\u0301" * 10, "e" + "\u0301" * 8 + r"\u0301\u0301"),
    ],
)
def test_control_characters_are_escaped(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_no_character_of_any_category_controls_the_terminal() -> None:
    everything = "".join(map(chr, range(0x110000)))

    kinds = {unicodedata.category(char) for char in visible(everything)}

    assert kinds.isdisjoint({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def test_line_ends_are_kept_on_request() -> None:
    assert visible_lines("one\n\x1btwo\n") == ["one", r"\x1btwo", ""]


@pytest.mark.parametrize(
    ("text", "columns"), [("abc", 3), ("日本", 4), ("e\u0301", 1), ("👍🏽", 4), ("❤\ufe0f", 2), ("\uff41", 2), ("", 0)]
)
def test_the_width_is_measured_in_terminal_columns(text: str, columns: int) -> None:
    assert display_width(text) == columns


@pytest.mark.parametrize(
    ("text", "columns", "shown"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdef", 5, "abcd…"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("e\u0301e\u0301e", 2, "e\u0301…"),
    ],
)
def test_a_text_that_is_too_wide_is_cut(text: str, columns: int, shown: str) -> None:
    assert cut(text, columns) == shown


def test_long_lines_are_wrapped() -> None:
    assert wrap("日本語 abc", 5) == ["日本", "語 ab", "c"]
    assert wrap("", 5) == [""]
