"""Contents are read one by one or packed, in batches that the output of a command can hold."""

import os
from unittest.mock import ANY

import pytest

from actors.coding.sandbox.base import Exit, OnOutput
from actors.coding.workspace import contents
from actors.coding.workspace.contents import read_files
from actors.coding.workspace.listing import WorkspaceError, list_workspace
from tests.support.plain_sandbox import PlainSandbox


def read(sandbox: PlainSandbox) -> dict[bytes, bytes]:
    return {item.path: content for item, content in read_files(sandbox, list_workspace(sandbox).items)}


def fill(sandbox: PlainSandbox, files: int) -> dict[bytes, bytes]:
    names = [f"d{number % 3}/-\n\\ {number}" for number in range(files)]
    for number, name in enumerate(names):
        sandbox.write(name, bytes([number % 256]) * 500)
    sandbox.write("long/" + "n" * 200 + "/" + "m" * 200, b"x")
    (sandbox.folder / os.fsdecode(b"\xff\xfe")).write_bytes(b"")
    os.link(sandbox.folder / names[0], sandbox.folder / "hard")
    expected = {name.encode(): bytes([number % 256]) * 500 for number, name in enumerate(names)}
    return expected | {b"long/" + b"n" * 200 + b"/" + b"m" * 200: b"x", b"\xff\xfe": b"", b"hard": bytes(500)}


@pytest.mark.parametrize("files", [3, 40])
def test_few_and_many_files_are_read(sandbox: PlainSandbox, files: int) -> None:
    expected = fill(sandbox, files)

    assert read(sandbox) == expected
    assert [argv[0] for argv in sandbox.commands] == (["sh"] if files == 3 else ["sh", "tar"])


def test_large_files_come_alone_and_many_in_batches(sandbox: PlainSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "_LARGE", 1000)
    monkeypatch.setattr(contents, "_BATCH_BYTES", 5000)
    expected = fill(sandbox, 40)
    sandbox.write("large", b"l" * 3000)

    assert read(sandbox) == expected | {b"large": b"l" * 3000}
    assert [argv[0] for argv in sandbox.commands].count("tar") == 5


def test_what_has_gone_is_left_out(sandbox: PlainSandbox) -> None:
    expected = fill(sandbox, 40)
    items = list_workspace(sandbox).items
    for name in (b"hard", b"\xff\xfe"):
        (sandbox.folder / os.fsdecode(name)).unlink()
    gone = {b"hard": ANY, b"\xff\xfe": ANY}

    assert dict(expected) == {item.path: content for item, content in read_files(sandbox, items)} | gone
    few = [item for item in items if item.path in gone]
    assert list(read_files(sandbox, few)) == []


def test_of_a_file_that_has_grown_the_listed_part_is_read(sandbox: PlainSandbox) -> None:
    sandbox.write("a", b"12345")
    items = list_workspace(sandbox).items
    sandbox.write("a", b"1234567890")

    assert [content for _, content in read_files(sandbox, items)] == [b"12345"]


class Broken(PlainSandbox):
    def run(self, call_id: str, argv: object, on_output: OnOutput, **_: object) -> Exit:
        on_output("stdout", b"no archive" * 1000)
        return Exit(0)


def test_an_archive_that_is_none_is_refused(sandbox: PlainSandbox) -> None:
    fill(sandbox, 40)
    items = list_workspace(sandbox).items

    with pytest.raises(WorkspaceError, match="archive of files that the sandbox gave is not one"):
        list(read_files(Broken(sandbox.folder), items))
