"""What was found in a workspace at its last snapshot: a file that is found the same again has the same content."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from actors.coding.workspace.listing import Item, items_in, written

_CLOCK_STEP = 0.1  # seconds: file times have steps of up to 10 ms, so a later change may have the same time
_NEVER = b"0"  # a time that is not found again


class Index(NamedTuple):
    """Of a commit: what is in it."""

    commit: str
    items: set[Item]


def to_find_again(items: Iterable[Item], time: float, unread: Collection[bytes]) -> Iterable[Item]:
    """Those whose content is known. What was changed just before `time`, or not read, is never found the same."""
    for item in items:
        is_known = float(item.changed) < time - _CLOCK_STEP and item.path not in unread
        yield item if is_known else item._replace(changed=_NEVER)


def read_index(file: Path, commit: str | None) -> Index | None:
    """None when there is none of this commit."""
    try:
        first, _, listed = file.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    return Index(commit, set(items_in(listed))) if commit is not None and first == commit.encode() else None


def write_index(file: Path, index: Index) -> None:
    new = file.with_suffix(".new")
    new.write_bytes(index.commit.encode() + b"\n" + written(index.items))
    new.replace(file)
