"""S24: a commit holds the workspace as it is; nothing in the workspace is run for it."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from actors.coding.sandbox.base import Exit, OnOutput
from actors.coding.workspace.choice import LeftOut, Limits
from actors.coding.workspace.index import read_index
from actors.coding.workspace.save import Saved, save
from bridge.snapshots.names import original_name
from bridge.snapshots.repository import FILE, LINK, PROGRAM, Repository
from tests.support.plain_sandbox import PlainSandbox

LIMITS = Limits(file_bytes=1000, all_bytes=1_000_000)


def saved_now(sandbox: PlainSandbox, repository: Repository) -> Saved:
    return save(sandbox, repository, "turn", LIMITS)


def files(repository: Repository, commit: str) -> dict[str, tuple[str, bytes]]:
    saved = repository.files(repository.entries(commit))
    return {os.fsdecode(original_name(file.path)): (file.mode, file.content) for file in saved}


def settle(folder: Path) -> None:
    """As if all files were changed long ago: the index may trust their times."""
    subprocess.run(["sleep", "0.15"], check=True)
    assert folder.exists()


def test_the_workspace_is_saved_as_it_is(sandbox: PlainSandbox, repository: Repository) -> None:
    sandbox.write("src/a.py", b"a\n")
    sandbox.write("run", b"#!/bin/sh\n")
    (sandbox.folder / "run").chmod(0o755)
    sandbox.write(".gitignore", b"ignored\n")
    sandbox.write("ignored", b"is saved")
    sandbox.write("node_modules/x.js", b"is not")
    (sandbox.folder / "out").symlink_to("/etc/passwd")
    (sandbox.folder / "in").symlink_to("src")
    (sandbox.folder / "empty").mkdir()

    saved = saved_now(sandbox, repository)

    assert saved.base is None
    assert files(repository, saved.commit) == {
        "src/a.py": (FILE, b"a\n"),
        "run": (PROGRAM, b"#!/bin/sh\n"),
        ".gitignore": (FILE, b"ignored\n"),
        "ignored": (FILE, b"is saved"),
        "out": (LINK, b"/etc/passwd"),
        "in": (LINK, b"src"),
        "empty": (FILE, b""),
    }


def test_each_turn_follows_the_one_before_and_reads_only_changes(sandbox: PlainSandbox, repository: Repository) -> None:
    for number in range(30):
        sandbox.write(f"f{number}", b"same")
    first = saved_now(sandbox, repository)
    settle(sandbox.folder)
    second = saved_now(sandbox, repository)  # reads once more what was changed just before
    sandbox.commands.clear()
    sandbox.write("f1", b"new")
    (sandbox.folder / "f2").unlink()
    (sandbox.folder / "f3").unlink()
    sandbox.write("f3/inner", b"x")
    (sandbox.folder / "f4").chmod(0o755)

    third = saved_now(sandbox, repository)

    assert [argv[0] for argv in sandbox.commands] == ["sh"]
    assert (second.base, third.base) == (first.commit, second.commit)
    assert files(repository, second.commit) == files(repository, first.commit)
    expected = {**files(repository, first.commit), "f1": (FILE, b"new"), "f4": (PROGRAM, b"same")}
    del expected["f2"], expected["f3"]
    assert files(repository, third.commit) == expected | {"f3/inner": (FILE, b"x")}


def test_nothing_new_is_no_commit(sandbox: PlainSandbox, repository: Repository) -> None:
    first = saved_now(sandbox, repository)

    assert saved_now(sandbox, repository) == Saved(first.commit, first.commit, [])


def test_a_change_in_the_moment_of_the_snapshot_is_in_the_next(sandbox: PlainSandbox, repository: Repository) -> None:
    sandbox.write("a", b"1")
    saved_now(sandbox, repository)
    index = read_index(repository.folder / "found", repository.head())

    assert index is not None
    assert {item.changed for item in index.items} == {b"0"}
    assert {item.path for item in index.items} == {b"a"}


def test_a_folder_and_a_file_change_places(sandbox: PlainSandbox, repository: Repository) -> None:
    (sandbox.folder / "a").mkdir()
    sandbox.write("b", b"b")
    saved_now(sandbox, repository)
    (sandbox.folder / "a").rmdir()
    sandbox.write("a", b"a")
    (sandbox.folder / "b").unlink()
    (sandbox.folder / "b").mkdir()

    saved = saved_now(sandbox, repository)

    assert {entry.path for entry in repository.entries(saved.commit)} == {b"a", b"b/.git.empty"}


def test_without_an_index_the_commit_is_complete_too(sandbox: PlainSandbox, repository: Repository) -> None:
    sandbox.write("a", b"1")
    sandbox.write("b", b"1")
    saved_now(sandbox, repository)
    (repository.folder / "found").unlink()
    (sandbox.folder / "a").unlink()

    saved = saved_now(sandbox, repository)

    assert files(repository, saved.commit) == {"b": (FILE, b"1")}


def test_nested_repositories_are_saved_and_nothing_of_theirs_is_run(
    sandbox: PlainSandbox, repository: Repository, tmp_path: Path
) -> None:
    app = sandbox.folder / "app"
    app.mkdir()
    ran = tmp_path / "ran"
    for command in (
        "git init -q && echo x > a && git add a && git -c user.name=a -c user.email=a commit -qm i",
        f"git config core.fsmonitor 'touch {ran}; false' && git config filter.x.clean 'touch {ran}; cat'",
        f"git config core.hooksPath {app}/hooks && mkdir hooks && echo 'touch {ran}' > hooks/reference-transaction",
        "chmod 755 hooks/* && echo '* filter=x diff=x' > .gitattributes && git config diff.x.textconv 'touch x'",
    ):
        subprocess.run(["sh", "-c", command], check=True, cwd=app)
    ran.unlink(missing_ok=True)
    first = saved_now(sandbox, repository)
    sandbox.write("app/a", b"y\n")

    second = saved_now(sandbox, repository)

    assert not ran.exists()
    assert files(repository, first.commit)["app/a"] == (FILE, b"x\n")
    assert files(repository, second.commit)["app/a"] == (FILE, b"y\n")
    assert files(repository, second.commit)["app/.git/HEAD"][1].startswith(b"ref: ")


def test_huge_files_are_left_out_and_said(sandbox: PlainSandbox, repository: Repository) -> None:
    sandbox.write("huge", b"x" * 1001)
    sandbox.write("a", b"x")

    saved = saved_now(sandbox, repository)

    assert saved.left_out == [LeftOut(b"huge", 1001)]
    assert set(files(repository, saved.commit)) == {"a"}
    (sandbox.folder / "a").unlink()
    assert files(repository, saved_now(sandbox, repository).commit) == {}


def test_what_cannot_be_read_stays_as_it_was_saved(sandbox: PlainSandbox, repository: Repository) -> None:
    sandbox.write("a", b"1")
    saved_now(sandbox, repository)
    (sandbox.folder / "a").unlink()
    sandbox.write("a", b"22")
    read, sandbox.read = sandbox.read, lambda *_, **__: (_ for _ in ()).throw(PermissionError())  # type: ignore[method-assign]

    saved = saved_now(sandbox, repository)

    assert saved.left_out == [LeftOut(b"a", 2)]
    assert files(repository, saved.commit) == {"a": (FILE, b"1")}
    sandbox.read = read  # type: ignore[method-assign]
    assert files(repository, saved_now(sandbox, repository).commit) == {"a": (FILE, b"22")}


class Unreadable(PlainSandbox):
    """One of its folders cannot be read: `find` says what it sees, and that it did not see all."""

    is_unreadable = True

    def run(self, call_id: str, argv: Sequence[str], on_output: OnOutput, **options: Any) -> Exit:
        folder = self.folder / "closed"
        if self.is_unreadable and folder.exists():
            folder.rename(self.folder.parent / "closed")
        end = super().run(call_id, argv, on_output, **options)
        if self.is_unreadable:
            (self.folder.parent / "closed").rename(folder)
        return Exit(1) if self.is_unreadable else end


def test_what_lies_in_a_folder_that_cannot_be_read_stays_saved_until_it_is_seen_to_be_gone(
    sandbox: PlainSandbox, repository: Repository
) -> None:
    sandbox.write("closed/a", b"1")
    sandbox.write("b", b"1")
    saved_now(sandbox, repository)
    sandbox.write("b", b"22")
    unreadable = Unreadable(sandbox.folder)

    assert set(files(repository, saved_now(unreadable, repository).commit)) == {"closed/a", "b"}
    unreadable.is_unreadable = False
    (sandbox.folder / "closed/a").unlink()
    assert set(files(repository, saved_now(unreadable, repository).commit)) == {"closed", "b"}
