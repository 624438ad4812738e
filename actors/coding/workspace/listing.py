"""What lies in a workspace, as `find` says it inside of the sandbox. All that comes from there is checked."""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple
from uuid import uuid4

from actors.coding.sandbox.base import Sandbox
from bridge.errors import BridgeError
from bridge.snapshots.names import EMPTY, UnsafeNameError, saved_name
from bridge.snapshots.repository import FILE, LINK, PROGRAM, File

# Folders that a program fills, and fills again: as large as they are worthless in a snapshot.
EXCLUDED = (
    "node_modules", "bower_components", ".pnpm-store", ".npm", ".venv", "venv", "__pycache__", ".mypy_cache",
    ".pytest_cache", ".ruff_cache", ".tox", ".nox", ".cache", ".next", ".nuxt", ".turbo", ".parcel-cache", ".gradle",
)  # fmt: skip
SECONDS = 60.0  # for a command that lists or packs files: a workspace of 100,000 files takes a few
_FORMAT = r"%y %m %s %T@ %C@ %i %l\0%P\0\0"
_ITEM = re.compile(rb"([fld]) ([0-7]+) (\d+) ([\d.-]+) ([\d.-]+) (\d+) ([^\0]*)\0([^\0]+)\0\0")


class WorkspaceError(BridgeError):
    """The workspace cannot be saved, brought back or downloaded. One line says why, and what to do."""


class Item(NamedTuple):
    """A file, a link or an empty folder, as `find` gives it: two that are equal have the same content."""

    kind: bytes
    mode: bytes
    length: bytes
    modified: bytes
    changed: bytes
    inode: bytes
    target: bytes
    path: bytes

    @property
    def size(self) -> int:
        """Of the content, in bytes."""
        return int(self.length) if self.is_file else len(self.target)

    @property
    def is_file(self) -> bool:
        return self.kind == b"f"

    @property
    def saved(self) -> bytes:
        """Its name in a snapshot. Raises WorkspaceError for a path that no file can have."""
        try:
            name = saved_name(self.path)
        except UnsafeNameError as error:
            raise WorkspaceError(f"the sandbox names a file that cannot be: {error}") from error
        return name + b"/" + EMPTY if self.kind == b"d" else name

    def as_file(self, content: bytes) -> File:
        mode = LINK if self.kind == b"l" else PROGRAM if self.is_file and int(self.mode, 8) & 0o100 else FILE
        return File(self.saved, mode, content)


class Listing(NamedTuple):
    """`time`: when it was made, in seconds of the sandbox's clock, as file times are.

    `is_whole` False: a folder could not be read, so what is not in the list may still be there.
    """

    items: list[Item]
    time: float
    is_whole: bool


def run_inside(sandbox: Sandbox, argv: Sequence[str], stdin: bytes = b"") -> tuple[bytes, int]:
    """The output and the exit code. Raises WorkspaceError."""
    output = bytearray()
    problem = bytearray()

    def on_output(stream: str, data: bytes) -> None:
        (output if stream == "stdout" else problem).extend(data)

    # Each time a new call: a call id that has ended would give the output of then.
    end = sandbox.run(f"workspace-{uuid4()}", argv, on_output, seconds=SECONDS, stdin=stdin)
    if end.output_cut:
        raise WorkspaceError(
            "the workspace holds more files than can be saved: remove some, or keep them outside of it"
        )
    if end.code is None or end.code > 1:
        said = problem.decode(errors="replace").strip().splitlines() or [f"ended by {end.reason}"]
        raise WorkspaceError(f"{argv[0]} failed in the sandbox, which needs GNU find and tar: {said[0][:200]}")
    return bytes(output), end.code


def list_workspace(sandbox: Sandbox) -> Listing:
    excluded = [word for name in EXCLUDED for word in ("-o", "-name", name)][1:]
    kinds = ["-type", "f", "-o", "-type", "l", "-o", "-type", "d", "-empty"]
    find = ["find", ".", "-mindepth", "1", "-xdev", "(", "-type", "d", "(", *excluded, ")", "-prune", ")"]
    find += ["-o", "(", *kinds, ")", "-printf", _FORMAT]
    output, code = run_inside(sandbox, ["sh", "-c", 'date +%s.%N && exec "$@"', "sh", *find])
    clock, _, listed = output.partition(b"\n")
    try:
        return Listing(items_in(listed), float(clock), is_whole=code == 0)
    except ValueError as error:
        raise WorkspaceError("the sandbox gave no list of files") from error


_MAKE: Callable[[tuple[bytes, ...]], Item] = partial(tuple.__new__, Item)  # a fifth of the time of Item._make


def items_in(listed: bytes) -> list[Item]:
    return list(map(_MAKE, _ITEM.findall(listed)))


def written(items: Iterable[Item]) -> bytes:
    """As `find` gives them."""
    return b"".join(b"%b %b %b %b %b %b %b\0%b\0\0" % item for item in items)
