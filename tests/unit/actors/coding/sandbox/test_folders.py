"""The folder of a session's sandbox: its fence, its lock, its end."""

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from actors.coding.sandbox import folders
from actors.coding.sandbox.base import CallRefusedError, SandboxError
from actors.coding.sandbox.folders import SessionFolder
from tests.support.waiting import eventually


@pytest.fixture
def folder(tmp_path: Path) -> SessionFolder:
    return SessionFolder(tmp_path / "workspaces", uuid4())


def test_a_fence_only_rises(folder: SessionFolder) -> None:
    folder.path.mkdir(parents=True)
    assert folder.fence == 0

    for fence in (3, 3, 7):
        folder.raise_fence(fence)
    with pytest.raises(CallRefusedError, match="belongs to attempt 7, this is attempt 6"):
        folder.raise_fence(6)

    assert folder.fence == 7
    folder.check(7)


def test_one_at_a_time_has_the_lock(folder: SessionFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "LOCK_SECONDS", 0.1)

    with folder.locked(), pytest.raises(SandboxError, match="another worker has held"), folder.locked():
        pass
    with folder.locked():
        pass


def test_who_waits_for_a_folder_that_is_removed_makes_a_new_one(folder: SessionFolder) -> None:
    there: list[bool] = []

    def wait() -> None:
        with folder.locked():
            folder.make()
            there.append((folder.path / "workspace" / "old").exists())

    with folder.locked():
        folder.make()
        (folder.path / "workspace" / "old").touch()
        thread = threading.Thread(target=wait)
        thread.start()
        eventually(thread.is_alive)
        folder.remove()
    thread.join(10)

    assert there == [False]


def test_each_session_of_root_has_an_account_that_no_person_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    users = {SessionFolder(tmp_path, uuid4()).user for _ in range(100)}

    assert len(users) > 90
    assert all(user is not None and 61184 <= user < 65520 for user in users)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert SessionFolder(tmp_path, uuid4()).user is None


def test_a_folder_is_closed_to_other_accounts(folder: SessionFolder) -> None:
    folder.path.mkdir(parents=True)
    folder.make()

    for name in ("workspace", "home", "run"):
        assert (folder.path / name).stat().st_mode & 0o777 == 0o700
        assert (folder.path / name).stat().st_uid == (folder.user or os.geteuid())


@pytest.fixture
def deep(folder: SessionFolder) -> Iterator[SessionFolder]:
    """With 1500 folders in each other: longer than a path may be, and more than there may be calls or open files."""
    folder.path.mkdir(parents=True)
    folder.make()
    here = os.open(folder.path / "workspace", os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("in", dir_fd=here)
        os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=here))
        os.symlink("/", "link", dir_fd=here)
        here, above = os.open("in", os.O_RDONLY, dir_fd=here), here
        os.fchmod(above, 0)
        os.close(above)
    os.close(here)
    yield folder
    # pytest would remove it later, by recursion, and fail.
    subprocess.run(["chmod", "-R", "700", folder.path.parent], check=True)
    subprocess.run(["rm", "-rf", folder.path.parent], check=True)


def test_folders_of_any_depth_are_removed(deep: SessionFolder) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))

    deep.remove()

    assert list(deep.path.parent.iterdir()) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == before
