"""A snapshot comes back into another sandbox as it was."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from actors.coding.workspace import restore as module
from actors.coding.workspace.choice import Limits
from actors.coding.workspace.listing import WorkspaceError
from actors.coding.workspace.restore import restore
from actors.coding.workspace.save import save
from bridge.snapshots.repository import Repository
from tests.support.plain_sandbox import PlainSandbox

LIMITS = Limits(file_bytes=10_000_000, all_bytes=100_000_000)


def tree(folder: Path) -> dict[str, tuple[str, bytes]]:
    """What lies there: kind or mode, and content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            found[str(path.relative_to(folder))] = ("link", os.fsencode(path.readlink()))
        elif stat.S_ISDIR(mode):
            found[str(path.relative_to(folder))] = ("folder", b"")
        else:
            found[str(path.relative_to(folder))] = (oct(mode & 0o100), path.read_bytes())
    return found


@pytest.fixture
def other(tmp_path: Path) -> PlainSandbox:
    folder = tmp_path / "other"
    folder.mkdir()
    return PlainSandbox(folder)


def test_all_comes_back(
    sandbox: PlainSandbox, other: PlainSandbox, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BATCH_BYTES", 1000)
    for number in range(20):
        sandbox.write(f"dir {number}/file\n{number}", bytes([number]) * 100 * number)
    sandbox.write("run", b"#!/bin/sh\n")
    (sandbox.folder / "run").chmod(0o755)
    (sandbox.folder / "out").symlink_to("/etc/passwd")
    (sandbox.folder / "up").symlink_to("../x")
    (sandbox.folder / "broken").symlink_to("nothing")
    (sandbox.folder / "empty/inner").mkdir(parents=True)
    sandbox.write(".git.empty", b"a file of this name")
    sandbox.write("sub/.git.saved/x", b"and a folder")
    (sandbox.folder / os.fsdecode(b"\xff\xfe")).write_bytes(b"")
    saved = save(sandbox, repository, "turn", LIMITS)

    restore(other, repository, saved.commit)

    assert tree(other.folder) == tree(sandbox.folder)
    assert save(other, repository, "again", LIMITS).left_out == []
    head = repository.head()
    assert head is not None
    assert repository.entries(head) == repository.entries(saved.commit)


def test_a_nested_repository_works_on(sandbox: PlainSandbox, other: PlainSandbox, repository: Repository) -> None:
    app = sandbox.folder / "app"
    app.mkdir()
    made = "git init -q && echo x > a && git add a && git -c user.name=a -c user.email=a commit -qm first"
    subprocess.run(["sh", "-c", made], cwd=app, check=True)
    saved = save(sandbox, repository, "turn", LIMITS)

    restore(other, repository, saved.commit)

    log = subprocess.run(["git", "log", "--format=%s"], cwd=other.folder / "app", capture_output=True, check=True)
    state = subprocess.run(["git", "status", "--short"], cwd=other.folder / "app", capture_output=True, check=True)
    assert (log.stdout, state.stdout) == (b"first\n", b"")


def test_what_cannot_be_written_is_said(sandbox: PlainSandbox, other: PlainSandbox, repository: Repository) -> None:
    sandbox.write("a", b"1")
    saved = save(sandbox, repository, "turn", LIMITS)
    (other.folder / "a/b").mkdir(parents=True)

    with pytest.raises(WorkspaceError, match="^tar failed in the sandbox"):
        restore(other, repository, saved.commit)
