"""Finds the terms of the conditions in a function's body: WHERE, JOIN … ON, IF, CASE WHEN.

It parses only what this needs: words, strings, comments, parentheses, CASE … END, and that AND binds more tightly
than OR. It does not depend on how today's functions are written.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<skip>\s+|--[^\n]*|/\*.*?\*/)
      | (?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
      | (?P<word>[A-Za-z_][A-Za-z0-9_$]*)
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_JOINS = {"JOIN", "LEFT", "RIGHT", "FULL", "INNER", "CROSS", "NATURAL"}
_END = {"GROUP", "ORDER", "LIMIT", "OFFSET", "RETURNING", "FOR", "UNION", "EXCEPT", "INTERSECT", "HAVING", "WINDOW"} | {
    "INTO", "THEN", "LOOP", "ON", "WHERE", ";", ",",
}  # fmt: skip


@dataclass(frozen=True)
class Token:
    word: str  # in capitals
    start: int
    end: int


@dataclass(frozen=True)
class Term:
    """One term, and the text that replaces it so that it has no effect."""

    text: str
    start: int
    end: int
    instead: str

    def dropped_from(self, body: str) -> str:
        return body[: self.start] + self.instead + body[self.end :]


def terms(body: str) -> list[Term]:
    """Every term of every condition, outer ones before inner ones."""
    tokens = _tokens(body)
    found: list[Term] = []
    is_searched: list[bool] = []  # CASE WHEN condition, as against CASE value WHEN value; inner ones last
    for index, token in enumerate(tokens):
        before = tokens[index - 1].word if index else ""
        after = tokens[index + 1].word if index + 1 < len(tokens) else ""
        if token.word == "CASE":
            is_searched.append(after == "WHEN")
        elif token.word == "END" and is_searched:
            is_searched.pop()
        elif token.word == "WHEN" and is_searched and is_searched[-1]:
            found += _split(body, _until(tokens[index + 1 :], {"THEN"}), alone="false")
        elif token.word == "WHERE" or (token.word == "ON" and after != "CONFLICT" and before != "DISTINCT"):
            ends = _END | (_JOINS if token.word == "ON" else set())
            found += _split(body, _until(tokens[index + 1 :], ends), alone="true")
        elif token.word in {"IF", "ELSIF"} and before != "END":
            found += _split(body, _until(tokens[index + 1 :], {"THEN"}), alone="false")
    return found


def _tokens(body: str) -> list[Token]:
    return [
        Token(match.group().upper(), match.start(), match.end())
        for match in _TOKEN.finditer(body)
        if match.lastgroup != "skip" and match.group("skip") is None
    ]


def _with_depth(tokens: Sequence[Token]) -> Iterator[tuple[int, Token]]:
    """The depth of each token in parentheses and CASE … END. Opening and closing tokens count as outside."""
    depth = 0
    for token in tokens:
        if token.word in {")", "]", "END"}:
            depth -= 1
        yield depth, token
        if token.word in {"(", "[", "CASE"}:
            depth += 1


def _until(tokens: Sequence[Token], ends: set[str]) -> list[Token]:
    """The condition that begins here."""
    condition = []
    for depth, token in _with_depth(tokens):
        if depth < 0 or (depth == 0 and token.word in ends):
            break
        condition.append(token)
    return condition


def _split(body: str, condition: Sequence[Token], *, alone: str) -> list[Term]:
    found: list[Term] = []
    either = _parts(condition, "OR")
    for one in either:
        both = _parts(one, "AND")
        if len(either) > 1:
            found.append(_term(body, one, "false"))
        if len(both) > 1:
            found += [_term(body, part, "true") for part in both]
        if len(either) == len(both) == 1:
            found.append(_term(body, one, alone))
        for part in both:
            if _is_a_group(part):
                inner = _split(body, part[1:-1], alone=alone)
                found += inner if len(inner) > 1 else []
    return found


def _parts(tokens: Sequence[Token], word: str) -> list[list[Token]]:
    parts: list[list[Token]] = [[]]
    is_between = False
    for depth, token in _with_depth(tokens):
        if depth == 0 and token.word == "BETWEEN":
            is_between = True
        if depth == 0 and token.word == word:
            if is_between and word == "AND":
                is_between = False
            else:
                parts.append([])
                continue
        parts[-1].append(token)
    return parts


def _is_a_group(tokens: Sequence[Token]) -> bool:
    if tokens[0].word != "(" or tokens[1].word == "SELECT":
        return False
    closed = [index for index, (depth, token) in enumerate(_with_depth(tokens)) if depth == 0 and token.word == ")"]
    return closed[0] == len(tokens) - 1


def _term(body: str, tokens: Sequence[Token], instead: str) -> Term:
    start, end = tokens[0].start, tokens[-1].end
    return Term(" ".join(body[start:end].split()), start, end, instead)
