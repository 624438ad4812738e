"""Brings files into a sandbox: those of a snapshot, or of a repository."""

from collections.abc import Iterable

from actors.coding.sandbox.base import Sandbox
from actors.coding.workspace.listing import run_inside
from bridge.snapshots.archive import packed
from bridge.snapshots.repository import File, Repository

_BATCH_BYTES = 16 * 1024 * 1024  # of files in one command: as much is in memory here and there
_BATCH_FILES = 10_000  # each has 1 kB or more around its content
_UNPACK = ["tar", "--extract", "--no-same-owner", "--file=-"]


def restore(sandbox: Sandbox, repository: Repository, commit: str) -> int:
    """The number of files. Files that are there stay, unless the snapshot has one of their name.

    Raises WorkspaceError, GitError, SandboxError: then a part may be there.
    """
    entries = repository.entries(commit)
    unpack(sandbox, repository.files(entries))
    return len(entries)


def unpack(sandbox: Sandbox, files: Iterable[File]) -> None:
    """Files with the paths of a snapshot. Raises WorkspaceError, SandboxError, and what `files` raises."""
    batch: list[File] = []
    size = 0
    for file in files:
        if batch and (size + len(file.content) > _BATCH_BYTES or len(batch) == _BATCH_FILES):
            _send(sandbox, batch)
            batch, size = [], 0
        batch.append(file)
        size += len(file.content)
    if batch:
        _send(sandbox, batch)


def _send(sandbox: Sandbox, files: Iterable[File]) -> None:
    run_inside(sandbox, _UNPACK, b"".join(packed(files)))
