import pytest

from actors.coding.agent.tools.output import Kept, TerminalText, bounded


def in_pieces(data: bytes, size: int) -> str:
    text = TerminalText()
    shown = "".join(text.feed(data[place : place + size]) for place in range(0, len(data), size))
    return shown + text.feed(b"", is_last=True)


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"plain\n\ttext\r\n", "plain\n\ttext\r\n"),
        ("grüße 🙂".encode(), "grüße 🙂"),
        (b"\x1b[1;31mred\x1b[m", "\x1b[1;31mred\x1b[m"),
        (b"\x1b[2J\x1b[10;20Hmoved\x1b[?25l", "moved"),
        (b"\x1b]0;a title\x07after", "after"),
        (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b"\x1b(Bset\x1b=\x1b>", "set"),
        (b"bell\x07 back\x08 nul\x00 del\x7f", "bell back nul del"),
        ("c1 \x9b31m".encode(), "c1 31m"),
        (b"cut off \x1b", "cut off "),
        (b"bad \xff\xfe", "bad \ufffd\ufffd"),
    ],
)
def test_only_colours_are_left_of_control_sequences(data: bytes, shown: str, size: int) -> None:
    assert in_pieces(data, size) == shown


def test_a_sequence_that_never_ends_holds_little_back() -> None:
    assert "x" * 900 in in_pieces(b"\x1b]0;" + b"x" * 1000, 10)


def test_head_and_tail_are_kept() -> None:
    kept = Kept(3, 4)
    for piece in ("ab", "cde", "fgh", "", "ijk"):
        kept.add(piece)

    assert kept.text() == "abc\n[… 4 characters left out here …]\nhijk"


def test_a_text_that_fits_is_whole() -> None:
    assert bounded("abcdefg", 3, 4) == "abcdefg"
