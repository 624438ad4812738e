"""Which sequences show nothing themselves, and where a cut one begins."""

import pytest

from actors.coding.redact.ansi import SEQUENCE, cut_end


@pytest.mark.parametrize("sequence", ["\x1b[0m", "\x1b[38;5;12m", "\x1b[K", "\x1b[?25l", "\x1b(B", "\x1b[2 q"])
def test_sequences_are_found_and_each_part_of_one_waits(sequence: str) -> None:
    assert SEQUENCE.fullmatch(sequence)
    assert all(cut_end("ab" + sequence[:length]) == 2 for length in range(1, len(sequence)))
    assert cut_end("ab" + sequence) == 2 + len(sequence)


def test_links_and_titles_are_text() -> None:
    assert not SEQUENCE.search("\x1b]8;;https://a:b@c\x1b\\link")


def test_an_endless_sequence_does_not_wait() -> None:
    text = "\x1b[" + "1;" * 100

    assert cut_end(text) == len(text)
