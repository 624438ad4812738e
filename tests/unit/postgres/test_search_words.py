"""Which words a free text has."""

import pytest

from bridge.postgres.search_words import search_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("timeout", "timeout*"),
        ("Time out", "Time out*"),
        ("a longer bc", "longer a bc"),
        ("src/app/main.py", "main src app py"),
        ("it's 100% [sure]", "100 it s sure*"),
        ("größe 日本語", "größe 日本語*"),
        ("x" * 70 + " y", "x" * 64 + "* y"),
        ("y " + "x" * 70, "y " + "x" * 64 + "*"),
        ("%* '' \\", ""),
        ("", ""),
    ],
)
def test_words_are_between_punctuation_and_the_last_may_go_on(text: str, words: str) -> None:
    assert search_words(text) == words
