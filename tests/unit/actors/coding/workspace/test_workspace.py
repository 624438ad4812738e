"""A session's files over its turns, on one machine and on another."""

from pathlib import Path
from uuid import uuid4

import pytest

from actors.coding.redact.known import KnownSecrets
from actors.coding.sandbox.base import Sandbox
from actors.coding.workspace.choice import Limits
from actors.coding.workspace.workspace import Workspace
from bridge import Fail
from bridge.snapshots.repository import Repository
from tests.support.bundles import MemoryBundles
from tests.support.plain_sandbox import PlainSandbox

SESSION = uuid4()


class Machine:
    """A machine with a sandbox of the session."""

    def __init__(self, folder: Path, bundles: MemoryBundles, kept_bytes: int = 10_000_000) -> None:
        self.sandbox = PlainSandbox(folder / "workspace")
        self.sandbox.folder.mkdir(parents=True)
        self.repository = Repository(folder / "snapshots.git")
        self.workspace = Workspace(
            SESSION,
            self.sandbox,
            self.repository,
            bundles,
            limits=Limits(1_000_000, 10_000_000),
            kept_bytes=kept_bytes,
            known=KnownSecrets([]),
        )


@pytest.fixture
def bundles() -> MemoryBundles:
    return MemoryBundles()


def test_a_turn_gives_its_changes_and_keeps_them(tmp_path: Path, bundles: MemoryBundles) -> None:
    machine = Machine(tmp_path, bundles)
    machine.sandbox.write("was there", b"1\n")
    assert machine.workspace.prepare() is None
    machine.sandbox.write("new", b"1\n")

    events = machine.workspace.finish_turn(1)

    assert [event.get("path") for event in events] == ["new", None]
    assert bundles.stored(SESSION).commit == events[-1]["commit"]


def test_the_commit_that_is_named_is_the_one_that_is_kept(
    tmp_path: Path, bundles: MemoryBundles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.snapshots.bundles.MOST_BUNDLES", 1)
    machine = Machine(tmp_path, bundles)
    for turn in (1, 2):
        machine.workspace.prepare()
        machine.sandbox.write("a", b"%d\n" % turn)
        events = machine.workspace.finish_turn(turn)

        assert [event.get("path") for event in events] == ["a", None]
        assert events[-1]["commit"] == bundles.stored(SESSION).commit


def test_a_turn_without_changes_says_nothing(tmp_path: Path, bundles: MemoryBundles) -> None:
    machine = Machine(tmp_path, bundles)
    machine.workspace.prepare()

    assert machine.workspace.finish_turn(1) == []


def test_a_new_sandbox_gets_the_files_and_says_so(tmp_path: Path, bundles: MemoryBundles) -> None:
    first = Machine(tmp_path / "first", bundles)
    first.workspace.prepare()
    first.sandbox.write("a/b", b"1\n")
    first.workspace.finish_turn(1)
    second = Machine(tmp_path / "second", bundles)

    said = second.workspace.prepare()

    assert str(said).startswith("the sandbox was new: 1 files of commit ")
    assert (second.sandbox.folder / "a/b").read_bytes() == b"1\n"
    assert second.workspace.prepare() is None
    assert second.workspace.finish_turn(2) == []


def test_what_a_turn_has_deleted_does_not_come_back(tmp_path: Path, bundles: MemoryBundles) -> None:
    machine = Machine(tmp_path, bundles)
    machine.sandbox.write("a", b"1\n")
    machine.workspace.prepare()
    (machine.sandbox.folder / "a").unlink()
    machine.workspace.finish_turn(1)

    assert machine.workspace.prepare() is None
    assert not (machine.sandbox.folder / "a").exists()


def test_damage_is_said_with_what_came_back(tmp_path: Path, bundles: MemoryBundles) -> None:
    first = Machine(tmp_path / "first", bundles)
    for turn in (1, 2):
        first.workspace.prepare()
        first.sandbox.write("a", b"%d\n" % turn)
        first.workspace.finish_turn(turn)
    bundles.kept[SESSION][1] = bundles.kept[SESSION][1]._replace(data=b"")
    second = Machine(tmp_path / "second", bundles)

    said = second.workspace.prepare()

    assert "were brought back; the saved workspace is damaged from commit" in str(said)
    assert (second.sandbox.folder / "a").read_bytes() == b"1\n"


def test_a_workspace_that_is_too_large_to_be_kept_says_so(tmp_path: Path, bundles: MemoryBundles) -> None:
    machine = Machine(tmp_path, bundles, kept_bytes=1000)
    machine.workspace.prepare()
    machine.sandbox.write("a", Path("/usr/bin/env").read_bytes())

    assert "is in its sandbox only" in machine.workspace.finish_turn(1)[-1]["notKept"]
    assert bundles.stored(SESSION).bundles == 0


def bring(sandbox: Sandbox) -> str:
    sandbox.write("a", b"1\n")
    sandbox.write(".git/HEAD", b"ref: refs/heads/trunk\n")
    return "cloned it"


def test_a_session_without_a_snapshot_begins_with_a_repository(tmp_path: Path, bundles: MemoryBundles) -> None:
    machine = Machine(tmp_path, bundles)

    assert machine.workspace.prepare(bring) == "cloned it"
    assert machine.workspace.prepare(bring) is None
    assert machine.workspace.finish_turn(1) == []
    elsewhere = Machine(tmp_path / "elsewhere", bundles)
    assert str(elsewhere.workspace.prepare(bring)).startswith("the sandbox was new: 2 files of commit ")


def test_what_an_interrupted_clone_has_left_is_removed_before_the_next(tmp_path: Path, bundles: MemoryBundles) -> None:
    machine = Machine(tmp_path, bundles)
    machine.sandbox.write("gone since/node_modules/a", b"1\n")
    machine.sandbox.write("gone since/b", b"1\n")

    assert machine.workspace.prepare(bring) == "cloned it"
    assert {path.name for path in machine.sandbox.folder.iterdir()} == {"a", ".git"}


@pytest.mark.parametrize("left", [".git/HEAD", "b"])
def test_work_without_a_snapshot_is_not_cloned_over(tmp_path: Path, bundles: MemoryBundles, left: str) -> None:
    machine = Machine(tmp_path, bundles)
    machine.sandbox.write("a", b"work\n")
    machine.sandbox.write(left, b"x\n")

    assert machine.workspace.prepare(bring, has_worked=lambda: True) is None
    assert (machine.sandbox.folder / "a").read_bytes() == b"work\n"


def test_a_whole_clone_is_not_repeated(tmp_path: Path, bundles: MemoryBundles) -> None:
    machine = Machine(tmp_path, bundles)
    bring(machine.sandbox)
    machine.sandbox.write("a", b"2\n")

    assert machine.workspace.prepare(bring) is None
    assert (machine.sandbox.folder / "a").read_bytes() == b"2\n"


def test_a_session_whose_only_sandbox_was_lost_begins_again(tmp_path: Path, bundles: MemoryBundles) -> None:
    assert Machine(tmp_path, bundles).workspace.prepare(bring, has_worked=lambda: True) == "cloned it"


def test_a_clone_that_fails_leaves_no_snapshot(tmp_path: Path, bundles: MemoryBundles) -> None:
    machine = Machine(tmp_path, bundles)

    def fails(_: Sandbox) -> str:
        raise Fail("no such repository")

    with pytest.raises(Fail):
        machine.workspace.prepare(fails)

    assert machine.workspace.prepare(bring) == "cloned it"
