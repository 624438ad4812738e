"""Which files of a workspace are saved: all but the huge ones."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from actors.coding.workspace.listing import Item

_GIT_SHARE = 2  # a repository's own data may take the limit of all divided by this: the files matter more


class Limits(NamedTuple):
    """Bytes of a file, and of all files together. A repository's own data is saved whole or not at all."""

    file_bytes: int
    all_bytes: int


class LeftOut(NamedTuple):
    path: bytes
    size: int


class Choice(NamedTuple):
    items: Sequence[Item]
    left_out: Sequence[LeftOut]


def choose(items: Sequence[Item], limits: Limits) -> Choice:
    """The largest files are left out first."""
    sizes = [item.size for item in items]
    if sum(sizes) <= limits.all_bytes // _GIT_SHARE and max(sizes, default=0) <= limits.file_bytes:
        return Choice(items, [])
    repositories = Counter[bytes]()
    for item in items:
        if root := _repository(item.path):
            repositories[root] += item.size
    huge = {root for root, size in repositories.items() if size > limits.all_bytes // _GIT_SHARE}
    left_out = [LeftOut(root, repositories[root]) for root in sorted(huge)]
    chosen = []
    for item in items:
        root = _repository(item.path)
        if root is None and item.size > limits.file_bytes:
            left_out.append(LeftOut(item.path, item.size))
        elif root not in huge:
            chosen.append(item)
    return _fitting(chosen, left_out, limits.all_bytes)


def _fitting(chosen: list[Item], left_out: list[LeftOut], most: int) -> Choice:
    total = sum(item.size for item in chosen)
    if total <= most:
        return Choice(chosen, left_out)
    dropped = set()
    for item in sorted(chosen, key=lambda item: item.size, reverse=True):
        if total <= most:
            break
        total -= item.size
        dropped.add(item.path)
        left_out.append(LeftOut(item.path, item.size))
    return Choice([item for item in chosen if item.path not in dropped], left_out)


def _repository(path: bytes) -> bytes | None:
    """The folder `.git` that a file lies in."""
    if b".git/" not in path:
        return None
    names = path.split(b"/")
    return b"/".join(names[: names.index(b".git") + 1]) if b".git" in names[:-1] else None
