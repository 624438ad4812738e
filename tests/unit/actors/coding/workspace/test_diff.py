"""A turn's changes as events: diffs of what a person reads, numbers of the rest, no secrets."""

from typing import Any

import pytest

from actors.coding.redact.known import KnownSecrets
from actors.coding.redact.redactor import MARK
from actors.coding.workspace import diff
from actors.coding.workspace.choice import Limits
from actors.coding.workspace.diff import change_events
from actors.coding.workspace.save import save
from bridge.snapshots.repository import Repository
from tests.support.plain_sandbox import PlainSandbox

LIMITS = Limits(file_bytes=1_000_000, all_bytes=10_000_000)
NONE = KnownSecrets([])


def events(sandbox: PlainSandbox, repository: Repository, known: KnownSecrets = NONE) -> list[dict[str, Any]]:
    return list(change_events(repository, save(sandbox, repository, "turn", LIMITS), known))


def test_added_modified_and_deleted_files(sandbox: PlainSandbox, repository: Repository) -> None:
    sandbox.write("a", b"one\ntwo\n")
    sandbox.write("gone", b"1\n2\n3\n")
    events(sandbox, repository)
    sandbox.write("a", b"one\n2\n")
    sandbox.write("dir/new \xff.py", "ä\n".encode())
    (sandbox.folder / "gone").unlink()

    a, new, gone, numbers = events(sandbox, repository)

    assert a == {
        "path": "a",
        "change": "modified",
        "added": 1,
        "removed": 1,
        "diff": a["diff"],
    }
    assert a["diff"].endswith("--- a/a\n+++ b/a\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n")
    assert (new["path"], new["change"]) == ("dir/new ÿ.py", "added")
    assert new["diff"].endswith("@@ -0,0 +1 @@\n+ä\n")
    assert gone == {"path": "gone", "change": "deleted", "added": 0, "removed": 3}
    assert {name: numbers[name] for name in ("files", "added", "removed")} == {"files": 3, "added": 2, "removed": 4}
    assert numbers["commit"] == repository.head()


def test_the_first_commit_is_all_new(sandbox: PlainSandbox, repository: Repository) -> None:
    sandbox.write("a", b"1\n")

    assert [event.get("change") for event in events(sandbox, repository)] == ["added", None]


def test_without_a_change_there_is_no_event(sandbox: PlainSandbox, repository: Repository) -> None:
    sandbox.write("a", b"1\n")
    events(sandbox, repository)

    assert events(sandbox, repository) == []


def test_binary_and_huge_changes_are_named_only(
    sandbox: PlainSandbox, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diff, "_HUGE_LINES", 10)
    sandbox.write("binary", b"\0\1\2")
    sandbox.write("huge", b"x\n" * 11)

    assert events(sandbox, repository)[:2] == [
        {"path": "binary", "change": "added", "binary": True},
        {"path": "huge", "change": "added", "added": 11, "removed": 0},
    ]


@pytest.mark.parametrize("line", [b"0123456789\n", b"x" * 30_000 + b"\n", "ä".encode() * 30_000])
def test_a_long_diff_is_cut_and_says_so(sandbox: PlainSandbox, repository: Repository, line: bytes) -> None:
    sandbox.write("a", line * 2000 if len(line) < 100 else line * 5)

    event = events(sandbox, repository)[0]

    assert event["diffCut"]
    assert 100 < len(event["diff"].encode()) <= 16_000


def test_of_many_files_some_are_named_and_all_are_counted(sandbox: PlainSandbox, repository: Repository) -> None:
    for number in range(300):
        sandbox.write(f"f{number:03}", b"1\n")

    *files, numbers = events(sandbox, repository)

    assert [file["path"] for file in files] == [f"f{number:03}" for number in range(50)]
    assert (numbers["files"], numbers["added"]) == (300, 300)
    assert numbers["more"] == [f"f{number:03}" for number in range(50, 250)]


def test_secrets_are_taken_out_also_at_the_cut(sandbox: PlainSandbox, repository: Repository) -> None:
    token = "gh" + "p_" + "aB1" * 12
    known = KnownSecrets(["our-own-secret"])
    lines = f"token = {token}\n" * 700
    sandbox.write("our-own-secret", lines.encode())

    event = events(sandbox, repository, known)[0]

    assert event["path"] == MARK
    assert MARK in event["diff"]
    assert token[:8] not in event["diff"]
    assert "our-own-secret" not in event["diff"]


def test_links_folders_and_repositories(sandbox: PlainSandbox, repository: Repository) -> None:
    sandbox.write("a/b", b"1\n")
    (sandbox.folder / "link").symlink_to("/etc/passwd")
    sandbox.write("app/.git/config", b"x\n")
    (sandbox.folder / "empty").mkdir()
    first = events(sandbox, repository)
    (sandbox.folder / "a/b").unlink()
    (sandbox.folder / "a").rmdir()
    sandbox.write("a", b"1\n")
    (sandbox.folder / "link").unlink()
    sandbox.write("link", b"1\n")

    second = events(sandbox, repository)

    assert [event.get("path") for event in first] == ["a/b", "link", None]
    assert first[1]["diff"].endswith("+/etc/passwd\n\\ No newline at end of file\n")
    assert [(event.get("path"), event.get("change")) for event in second[:-1]] == [
        ("a", "added"),
        ("a/b", "deleted"),
        ("link", "modified"),
    ]
    assert second[0]["diff"].endswith("+1\n")


def test_files_that_were_not_saved_are_named(sandbox: PlainSandbox, repository: Repository) -> None:
    sandbox.write("huge", b"x" * 1_000_001)

    assert events(sandbox, repository)[-1]["notSaved"] == [{"path": "huge", "bytes": 1_000_001}]
