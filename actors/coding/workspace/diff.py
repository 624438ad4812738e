"""What a turn has changed, as events: a diff for each file, and one with the numbers."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from actors.coding.redact.known import KnownSecrets
from actors.coding.redact.redactor import redacted
from actors.coding.workspace.save import Saved
from bridge.snapshots.names import is_shown
from bridge.snapshots.repository import Repository

SHOWN_FILES = 50  # with a diff: a person reads no more of a turn
NAMED_FILES = 200  # beyond them, by name only
DIFF_BYTES = 16_000  # of a diff in an event
_READ_CHARACTERS = 64 * 1024  # of a diff: more than is shown, so that no secret is cut before it is seen as one
_HUGE_LINES = 5000  # changed in a file that nobody reads as a diff
_OPTIONS = ("-r", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color")
_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"  # Git knows it without having it
_CHANGES = {"A": "added", "D": "deleted", "M": "modified", "T": "modified"}
_FILE = re.compile(rb"^diff --git ", re.MULTILINE)


class Change(NamedTuple):
    """`added` and `removed` are lines; None for a binary file."""

    path: bytes
    status: str
    added: int | None
    removed: int | None

    @property
    def has_diff(self) -> bool:
        lines = (self.added or 0) + (self.removed or 0)
        return self.added is not None and self.status in "AM" and lines <= _HUGE_LINES


def change_events(repository: Repository, saved: Saved, known: KnownSecrets) -> Iterator[dict[str, Any]]:
    """The data of `file_change` events: one for each file, at most 50, then one with the numbers of all.

    Without a change there is none, unless files were left out. Secrets are taken out.
    """
    changes = [change for change in _changes(repository, saved) if is_shown(change.path)]
    shown = changes[:SHOWN_FILES]
    diffs = _diffs(repository, saved, [change.path for change in shown if change.has_diff])
    for change in shown:
        yield _event(change, diffs.get(change.path), known)
    if changes or saved.left_out:
        yield redacted(_numbers(saved, changes), known)


def _event(change: Change, diff: bytes | None, known: KnownSecrets) -> dict[str, Any]:
    event: dict[str, Any] = {"path": redacted(_text(change.path), known), "change": _CHANGES[change.status]}
    if change.added is None:
        return event | {"binary": True}
    event |= {"added": change.added, "removed": change.removed}
    if diff is None:
        return event
    text = redacted(_text(diff)[:_READ_CHARACTERS], known)
    shown = _cut(text, DIFF_BYTES)
    return event | {"diff": shown} | ({"diffCut": True} if len(diff) > _READ_CHARACTERS or shown != text else {})


def _numbers(saved: Saved, changes: Sequence[Change]) -> dict[str, Any]:
    numbers: dict[str, Any] = {
        "commit": saved.commit,
        "files": len(changes),
        "added": sum(change.added or 0 for change in changes),
        "removed": sum(change.removed or 0 for change in changes),
    }
    if more := changes[SHOWN_FILES : SHOWN_FILES + NAMED_FILES]:
        numbers["more"] = [_text(change.path) for change in more]
    if saved.left_out:
        numbers["notSaved"] = [{"path": _text(one.path), "bytes": one.size} for one in saved.left_out[:NAMED_FILES]]
    return numbers


def _changes(repository: Repository, saved: Saved) -> Iterator[Change]:
    """In the order of their paths."""
    output = repository.git.run("diff-tree", "--raw", "--numstat", "-z", *_OPTIONS, *_trees(saved))
    parts = iter(output.split(b"\0")[:-1])
    statuses = {}
    for part in parts:
        if part.startswith(b":"):
            statuses[next(parts)] = part[-1:].decode()
        else:
            added, removed, path = part.split(b"\t", 2)
            yield Change(path, statuses[path], _number(added), _number(removed))


def _diffs(repository: Repository, saved: Saved, paths: Sequence[bytes]) -> Mapping[bytes, bytes]:
    """By path. A path that was a folder before brings those of its files with it."""
    if not paths:
        return {}
    names = [os.fsdecode(path) for path in paths]
    output = repository.git.run("diff-tree", "--raw", "-p", "-z", *_OPTIONS, *_trees(saved), "--", *names)
    listed, _, text = output.partition(b"\0\0")
    starts = [match.start() for match in _FILE.finditer(text)]
    return dict(zip(listed.split(b"\0")[1::2], (text[i:j] for i, j in pairwise([*starts, len(text)])), strict=True))


def _trees(saved: Saved) -> tuple[str, str]:
    return saved.base or _EMPTY_TREE, saved.commit


def _number(lines: bytes) -> int | None:
    return None if lines == b"-" else int(lines)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _cut(text: str, most: int) -> str:
    """The lines that fit into so many bytes; if they are few, the beginning of the next line, too."""
    data = text.encode()
    if len(data) <= most:
        return text
    end = data.rfind(b"\n", 0, most) + 1
    return data[: end if end > most // 2 else most].decode("utf-8", "ignore")
