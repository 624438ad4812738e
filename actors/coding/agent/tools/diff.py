"""The difference that an edit made, as a unified diff."""

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

_CONTEXT = 3  # lines around each change, as diff and git show them
_COMPARED = 1000  # lines: comparing takes quadratic time, and a larger edit is shown as one change
_MOST = 16 * 1024  # characters: a row of the stream, which phones load

Opcode = tuple[str, int, int, int, int]


def diff(path: str, before: str | None, after: str) -> str:
    """`before` None: the file is new."""
    old, new = (before or "").splitlines(keepends=True), after.splitlines(keepends=True)
    start = max(0, _same(old, new) - _CONTEXT)
    end = max(0, _same(old[start:][::-1], new[start:][::-1]) - _CONTEXT)
    old_part, new_part = old[start : len(old) - end], new[start : len(new) - end]
    lines = [f"--- {'/dev/null' if before is None else f'a/{path}'}\n", f"+++ b/{path}\n"]
    for group in _groups(old_part, new_part):
        lines += _hunk(group, old_part, new_part, start)
    text = "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
    return text if len(text) <= _MOST else f"{text[:_MOST]}\n[… {len(text) - _MOST:,} characters left out]\n"


def _same(old: Sequence[str], new: Sequence[str]) -> int:
    """How many lines are the same at the beginning."""
    pairs = zip(old, new, strict=False)
    return next((place for place, (one, other) in enumerate(pairs) if one != other), min(len(old), len(new)))


def _groups(old: Sequence[str], new: Sequence[str]) -> Iterator[list[Opcode]]:
    if len(old) + len(new) > _COMPARED:
        yield [("replace", 0, len(old), 0, len(new))]
    else:
        yield from SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(_CONTEXT)


def _hunk(group: Sequence[Opcode], old: Sequence[str], new: Sequence[str], start: int) -> Iterator[str]:
    (_, old_from, _, new_from, _), (_, _, old_to, _, new_to) = group[0], group[-1]
    yield f"@@ -{_range(start + old_from, start + old_to)} +{_range(start + new_from, start + new_to)} @@\n"
    for kind, one, two, three, four in group:
        if kind == "equal":
            yield from (f" {line}" for line in old[one:two])
        else:
            yield from (f"-{line}" for line in old[one:two])
            yield from (f"+{line}" for line in new[three:four])


def _range(start: int, end: int) -> str:
    """Lines count from 1; an empty range names the line before it."""
    return f"{start + 1 if end > start else start},{end - start}"
