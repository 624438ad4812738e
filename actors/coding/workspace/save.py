"""Saves a workspace as a commit. Only what has changed is read."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from actors.coding.sandbox.base import Sandbox
from actors.coding.workspace.choice import LeftOut, Limits, choose
from actors.coding.workspace.contents import read_files
from actors.coding.workspace.index import Index, read_index, to_find_again, write_index
from actors.coding.workspace.listing import Item, list_workspace
from bridge.snapshots.repository import File, Repository

_INDEX = "found"  # the file of the index, beside the repository's own


class Saved(NamedTuple):
    """`base` is the commit before. `left_out`: files that are too large, or could not be read."""

    base: str | None
    commit: str
    left_out: Sequence[LeftOut]


def save(sandbox: Sandbox, repository: Repository, message: str, limits: Limits) -> Saved:
    """The repository must be locked. Raises WorkspaceError, GitError, SandboxError: then nothing is saved."""
    listing = list_workspace(sandbox)
    choice = choose(listing.items, limits)
    base = repository.head()
    index = read_index(repository.folder / _INDEX, base)
    found = set(choice.items)
    changed = found - index.items if index else found
    unseen = index.items - found if index else set()
    gone = [] if not listing.is_whole else _gone(repository, index, unseen, changed)
    unread = {item.path: LeftOut(item.path, item.size) for item in changed if item.is_file}
    if base is None or changed or gone:
        commit = repository.commit(message, gone, _files(sandbox, changed, unread))
    else:
        commit = base
    # What was not seen for an unreadable folder may still be there, and may go later.
    items = choice.items if listing.is_whole else chain(choice.items, unseen)
    write_index(repository.folder / _INDEX, Index(commit, set(to_find_again(items, listing.time, unread))))
    return Saved(base, commit, [*choice.left_out, *unread.values()])


def _gone(repository: Repository, index: Index | None, unseen: Iterable[Item], changed: Iterable[Item]) -> list[bytes]:
    """The saved names that are not there any more."""
    head = repository.head()
    if index:
        before = {item.saved for item in unseen}
    else:
        before = {entry.path for entry in repository.entries(head)} if head else set()
    return sorted(before - {item.saved for item in changed})


def _files(sandbox: Sandbox, changed: Iterable[Item], unread: dict[bytes, LeftOut]) -> Iterator[File]:
    """Takes out of `unread` what it has read."""
    files = []
    for item in changed:
        if item.is_file:
            files.append(item)
        else:
            yield item.as_file(item.target)
    for item, content in read_files(sandbox, files):
        unread.pop(item.path, None)
        yield item.as_file(content)
