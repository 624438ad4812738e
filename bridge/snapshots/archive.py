"""A snapshot as an archive: the files of a workspace with their names, streamed."""

import os
import tarfile
import time
from collections.abc import Iterable, Iterator
from io import BytesIO
from posixpath import isabs, join, normpath

from bridge.snapshots.names import is_empty_folder, original_name
from bridge.snapshots.repository import LINK, PROGRAM, File, Repository


class _Output(BytesIO):
    """What was written since it was taken last."""

    def take(self) -> bytes:
        data = self.getvalue()
        self.seek(0)
        self.truncate()
        return data


def member(file: File, folder: str = "") -> tarfile.TarInfo:
    """What a tar archive says about a file, in a folder of that name."""
    info = tarfile.TarInfo(join(folder, os.fsdecode(original_name(file.path))))
    info.mtime = int(time.time())
    info.mode = 0o755 if file.mode == PROGRAM else 0o644
    if file.mode == LINK:
        info.type, info.linkname = tarfile.SYMTYPE, os.fsdecode(file.content)
    elif is_empty_folder(file.path):
        info.type, info.mode = tarfile.DIRTYPE, 0o755
    else:
        info.size = len(file.content)
    return info


def packed(files: Iterable[File], folder: str = "", mode: str = "w|") -> Iterator[bytes]:
    """A tar archive in pieces."""
    output = _Output()
    with tarfile.open(
        fileobj=output, mode=mode, format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape"
    ) as archive:  # type: ignore[call-overload]
        for file in files:
            info = member(file, folder)
            archive.addfile(info, BytesIO(file.content) if info.isreg() else None)
            yield output.take()
    yield output.take()


def archive(repository: Repository, commit: str, folder: str) -> Iterator[bytes]:
    """A .tar.gz of a commit. Links that lead out of the workspace are left out: elsewhere they lead to other files."""
    files = repository.files(repository.entries(commit))
    return packed((file for file in files if not _leads_out(file)), folder, "w|gz")


def _leads_out(file: File) -> bool:
    if file.mode != LINK:
        return False
    target = os.fsdecode(file.content)
    place = normpath(join(os.path.dirname(os.fsdecode(original_name(file.path))), target))  # noqa: PTH120
    return isabs(target) or place == ".." or place.startswith("../")
