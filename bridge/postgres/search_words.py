"""The words of a free text, as searched_text and job_matches (sql/functions/listing.sql) compare them."""

import re

_BETWEEN = re.compile(r"[\x01-\x2f:-@\[-`{-\x7f]+")  # ASCII characters but letters and digits, as in searched_text
_LONGEST = 64  # characters: the index keeps no more of a word
_PREFIX_LEAST = 3  # letters: the words that begin with two of them are a large part of all words


def search_words(text: str) -> str:
    """The words with a space between, empty if there are none. One with `*` at its end is the beginning of a word.

    The last word is one: a person may still be typing it. The longest of the others comes first: fewest jobs have it.
    """
    *words, last = [word for word in _BETWEEN.split(text) if word] or [""]
    words.sort(key=len, reverse=True)
    return " ".join([*map(_cut, words), last[:_LONGEST] + "*" if len(last) >= _PREFIX_LEAST else last])


def _cut(word: str) -> str:
    return word if len(word) < _LONGEST else word[:_LONGEST] + "*"
