"""The list of a workspace: files, links and empty folders, and nothing that leads out of it."""

import os
import socket

import pytest

from actors.coding.sandbox.base import Exit, OnOutput
from actors.coding.workspace.listing import WorkspaceError, items_in, list_workspace, run_inside, written
from bridge.snapshots.repository import FILE, LINK, PROGRAM
from tests.support.plain_sandbox import PlainSandbox


def listed(sandbox: PlainSandbox) -> dict[bytes, bytes]:
    return {item.path: item.kind for item in list_workspace(sandbox).items}


def test_files_links_and_empty_folders_are_listed(sandbox: PlainSandbox) -> None:
    folder = sandbox.folder
    for name in ("a b/\n c", "node_modules/x/y", "src/node_modules/z", ".git/config", ".hidden"):
        sandbox.write(name, b"12345")
    (folder / "out").symlink_to("/etc")
    (folder / "with\nspace \\").symlink_to("a b")
    (folder / "empty").mkdir()
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(folder / "socket"))

    listing = list_workspace(sandbox)

    assert listing.is_whole
    assert {item.path: item.kind for item in listing.items} == {
        b"a b/\n c": b"f",
        b".git/config": b"f",
        b".hidden": b"f",
        b"out": b"l",
        b"with\nspace \\": b"l",
        b"empty": b"d",
    }
    assert {item.target for item in listing.items if item.kind == b"l"} == {b"/etc", b"a b"}
    assert {item.size for item in listing.items if item.is_file} == {5}
    assert set(items_in(written(listing.items))) == set(listing.items)


def test_files_are_as_git_knows_them(sandbox: PlainSandbox) -> None:
    sandbox.write("prog", b"")
    (sandbox.folder / "prog").chmod(0o755)
    sandbox.write("file", b"")
    (sandbox.folder / "link").symlink_to("file")
    (sandbox.folder / "folder").mkdir()

    files = [item.as_file(b"x") for item in list_workspace(sandbox).items]

    assert {file.path: file.mode for file in files} == {
        b"prog": PROGRAM,
        b"file": FILE,
        b"link": LINK,
        b"folder/.git.empty": FILE,
    }


def test_each_change_is_seen(sandbox: PlainSandbox) -> None:
    sandbox.write("a", b"1")
    before = list_workspace(sandbox).items
    assert list_workspace(sandbox).items == before

    times = (sandbox.folder / "a").stat()
    sandbox.write("a", b"2")
    os.utime(sandbox.folder / "a", ns=(times.st_atime_ns, times.st_mtime_ns))

    assert list_workspace(sandbox).items != before


class Lying(PlainSandbox):
    """Says what it was told to say."""

    def __init__(self, output: bytes, end: Exit) -> None:
        self.output, self.end_of_all = output, end

    def run(self, call_id: str, argv: object, on_output: OnOutput, **_: object) -> Exit:
        on_output("stdout", self.output)
        on_output("stderr", b"find: it is broken\nmore")
        return self.end_of_all


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "a/../../b", "a//b"])
def test_a_path_that_leads_out_is_refused(path: str) -> None:
    output = b"1.0\nf 644 1 1.0 1.0 1 \0" + path.encode() + b"\0\0"
    items = list_workspace(Lying(output, Exit(0))).items

    with pytest.raises(WorkspaceError, match="names a file that cannot be"):
        items[0].as_file(b"")


def test_a_folder_that_cannot_be_read_is_told() -> None:
    assert not list_workspace(Lying(b"1.0\nf 644 1 1.0 1.0 1 \0a\0\0", Exit(1))).is_whole


def test_nonsense_is_no_file() -> None:
    assert list_workspace(Lying(b"1.0\nnonsense\0\0x 1 1 1 1 1 \0a\0\0", Exit(0))).items == []
    with pytest.raises(WorkspaceError, match="gave no list of files"):
        list_workspace(Lying(b"no clock\n", Exit(0)))


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (Exit(0, output_cut=True), "more files than can be saved"),
        (Exit(127), "needs GNU find and tar: find: it is broken$"),
        (Exit(None, "time"), "needs GNU find and tar: find: it is broken$"),
    ],
)
def test_what_went_wrong_is_one_line(end: Exit, reason: str) -> None:
    with pytest.raises(WorkspaceError, match=reason):
        run_inside(Lying(b"", end), ["find"])
