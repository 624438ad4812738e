"""The contents of files, from inside of the sandbox: few by reading each, many packed by `tar`."""

import io
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from actors.coding.sandbox.base import Sandbox
from actors.coding.workspace.listing import Item, WorkspaceError, run_inside

_FEW = 8  # files: reading each of them takes less time than one command
_LARGE = 1024 * 1024  # bytes of a file that is read by itself
_BATCH_BYTES = 4 * 1024 * 1024  # of contents in one command: the output of a command has a limit
_BATCH_FILES = 2000  # each has 1 kB or more around its content
_TAR = [
    "tar",
    "--create",
    "--format=gnu",
    "--no-recursion",
    "--hard-dereference",
    "--ignore-failed-read",
    "--null",
    "--no-unquote",
]


def read_files(sandbox: Sandbox, items: Sequence[Item]) -> Iterator[tuple[Item, bytes]]:
    """Files with their contents, in no order. One that has gone, or cannot be read, is left out."""
    small = [item for item in items if item.size < _LARGE]
    large = [item for item in items if item.size >= _LARGE]
    if len(small) <= _FEW:
        return _read_each(sandbox, items)
    return chain(_read_each(sandbox, large), *(_read_packed(sandbox, batch) for batch in _batches(small)))


def _read_each(sandbox: Sandbox, items: Iterable[Item]) -> Iterator[tuple[Item, bytes]]:
    for item in items:
        try:
            # It may have grown since it was listed: then the rest comes with the next snapshot.
            yield item, sandbox.read(item.path.decode("utf-8", "surrogateescape"), most=item.size)
        except OSError:
            continue


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    batch: list[Item] = []
    size = 0
    for item in items:
        if batch and (size + item.size > _BATCH_BYTES or len(batch) == _BATCH_FILES):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += item.size
    if batch:
        yield batch


def _read_packed(sandbox: Sandbox, items: Sequence[Item]) -> Iterator[tuple[Item, bytes]]:
    names = b"".join(b"./" + item.path + b"\0" for item in items)
    packed, _ = run_inside(sandbox, [*_TAR, "--files-from=-", "--file=-"], names)
    by_name = {item.path: item for item in items}
    try:
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:", encoding="utf-8", errors="surrogateescape") as archive:
            for member in archive:
                item = by_name.get(member.name.removeprefix("./").encode("utf-8", "surrogateescape"))
                file = archive.extractfile(member) if item and member.isreg() else None
                if item and file:
                    yield item, file.read()
    except (tarfile.TarError, ValueError, OSError) as error:
        raise WorkspaceError("the archive of files that the sandbox gave is not one") from error
