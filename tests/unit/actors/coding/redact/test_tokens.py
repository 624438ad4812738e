"""The table of tokens: each is found, and each beginning of each waits."""

import pytest

from actors.coding.redact.found import Found
from actors.coding.redact.tokens import BEGINNING, TOKENS, Token, tokens_in

# A character of each class, in the order in which the classes name them.
_OF_CLASS = {"A": "A", "a": "a", "0": "0"}


def example(token: Token, kind: str) -> str:
    return token.prefix + kind + _OF_CLASS.get(token.characters[0], "a") * token.least


ALL = [(token, kind) for token in TOKENS for kind in token.kinds]


@pytest.mark.parametrize(("token", "kind"), ALL, ids=[token.prefix + kind for token, kind in ALL])
def test_each_is_found_and_each_beginning_waits(token: Token, kind: str) -> None:
    text = example(token, kind)

    assert (0, len(text)) in [(one.start, one.end) for one in tokens_in(text)]
    assert all(BEGINNING.place(f" {text[:length]}", 0) == 1 for length in range(1, len(text)))
    assert not list(tokens_in(text[:-1]))


@pytest.mark.parametrize("before", ["", " ", '"', "=", "\\n", "%3D", "-"])
def test_what_may_be_before_one(before: str) -> None:
    text = before + example(TOKENS[0], "ant-")

    assert [one.start for one in tokens_in(text)] == [len(before)]


def test_the_end_of_a_word_is_none() -> None:
    assert not list(tokens_in("a task-" + "0a" * 20 + " on a disk-" + "0a" * 20))


def test_a_longer_one_is_found_whole() -> None:
    text = example(TOKENS[1], "") + "abc."

    assert [found[:2] for found in tokens_in(text)] == [Found(0, len(text) - 1)[:2]]
