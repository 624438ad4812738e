"""The repository of a session's snapshots: a commit for each turn, made and read without a working tree."""

import fcntl
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bridge.snapshots.git import Git, GitError

FILE, PROGRAM, LINK = "100644", "100755", "120000"  # the modes that Git knows
_BRANCH = "refs/heads/workspace"


class File(NamedTuple):
    """A file as it is saved: see names.py for its path. Of a link, the content is what it points to."""

    path: bytes
    mode: str
    content: bytes


class Entry(NamedTuple):
    path: bytes
    mode: str
    blob: str
    size: int


class Repository:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git = Git(folder)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Made if it is not there. One process at a time works on it."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (self.folder / "HEAD").exists():
                self.git.run("init", "--quiet", "--bare", "--template=")
            yield

    def head(self) -> str | None:
        """The last commit."""
        try:
            return (self.folder / _BRANCH).read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None

    def set_head(self, commit: str) -> None:
        self.git.run("update-ref", _BRANCH, commit)

    def has(self, commit: str) -> bool:
        try:
            self.git.run("cat-file", "-e", f"{commit}^{{tree}}")
        except GitError:
            return False
        return True

    def commit(self, message: str, removed: Iterable[bytes], files: Iterable[File]) -> str:
        """What is neither removed nor given stays as it was. An exception of `files` leaves all as it was."""
        parent = self.head()
        with self.git.feed("fast-import", "--quiet", "--done", "--date-format=raw") as stream:
            text = message.encode()
            stream.write(b"commit %s\ncommitter mobvibe <mobvibe@localhost> " % _BRANCH.encode())
            stream.write(b"%d +0000\ndata %d\n%s\n" % (time.time(), len(text), text))
            if parent:
                stream.write(b"from %s\n" % parent.encode())
            for path in removed:
                stream.write(b"D %s\n" % _quoted(path))
            for path, mode, content in files:
                stream.write(b"M %s inline %s\ndata %d\n" % (mode.encode(), _quoted(path), len(content)))
                stream.write(content)
                stream.write(b"\n")
            stream.write(b"done\n")
        commit = self.head()
        assert commit is not None
        return commit

    def entries(self, commit: str) -> list[Entry]:
        """All files of a commit, in the order of their paths; without submodules."""
        listed = self.git.run("ls-tree", "-r", "-z", "-l", "--full-tree", commit)
        return [_entry(line) for line in listed.split(b"\0") if b" blob " in line.partition(b"\t")[0]]

    def files(self, entries: Iterable[Entry]) -> Iterator[File]:
        """The contents of entries, in their order."""
        entries = list(entries)
        outputs = self.git.answers((entry.blob.encode() + b"\n" for entry in entries), "cat-file", "--batch")
        for entry, output in zip(entries, outputs, strict=True):
            header = output.readline().split()
            if len(header) != 3 or header[1] != b"blob":  # noqa: PLR2004 -- id, type, size
                raise GitError(f"a saved file is missing: {entry.path.decode(errors='replace')}")
            content = output.read(int(header[2]))
            output.read(1)
            yield File(entry.path, entry.mode, content)

    def bundle(self, base: str | None) -> bytes:
        """All that leads from `base`, or from nothing, to the last commit. Raises GitError when these are one."""
        return self.git.run("bundle", "create", "--quiet", "-", _BRANCH, *([f"^{base}"] if base else []))

    def add_bundle(self, data: bytes, commit: str) -> None:
        """Take a bundle in: `commit` is the last one then. Raises GitError for a damaged one, and without its base."""
        file = self.folder / "incoming.bundle"
        file.write_bytes(data)
        try:
            self.git.run("bundle", "unbundle", str(file))
        finally:
            file.unlink()
        self.set_head(commit)

    def forget_the_past(self) -> str:
        """The files of the last commit as a first one, which is the last one then."""
        first = self.git.run("commit-tree", f"{_BRANCH}^{{tree}}", "-m", "all before").decode().strip()
        self.set_head(first)
        return first

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _quoted(path: bytes) -> bytes:
    return b'"' + path.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n") + b'"'


def _entry(line: bytes) -> Entry:
    details, _, path = line.partition(b"\t")
    mode, _, blob, size = details.split()
    return Entry(path, mode.decode(), blob.decode(), int(size))
