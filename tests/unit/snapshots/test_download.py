"""A session's files are downloaded from what is kept of them, and nothing is left on the machine."""

import io
import tarfile
import tempfile
from pathlib import Path
from uuid import uuid4

import pytest

from bridge.snapshots.bundles import keep
from bridge.snapshots.download import Download, NothingSavedError
from bridge.snapshots.repository import FILE, File, Repository
from tests.support.bundles import MemoryBundles

SESSION = uuid4()


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def store(tmp_path: Path) -> MemoryBundles:
    store, repository = MemoryBundles(), Repository(tmp_path / "r.git")
    with repository.locked():
        for number in (1, 2):
            repository.commit("turn", [], [File(b"a", FILE, b"%d" % number)])
            keep(repository, store, SESSION, 1_000_000)
    return store


def content(download: Download) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(b"".join(download))) as archive:
        file = archive.extractfile(f"session-{str(SESSION)[:8]}/a")
        assert file is not None
        return file.read()


def test_the_last_snapshot_is_downloaded(store: MemoryBundles, temporary: Path) -> None:
    download = Download(store, SESSION)

    assert content(download) == b"2"
    assert download.problem is None
    download.close()
    assert not list(temporary.iterdir())


def test_of_damaged_ones_it_is_the_last_good_one(store: MemoryBundles) -> None:
    store.kept[SESSION][1] = store.kept[SESSION][1]._replace(data=b"")
    download = Download(store, SESSION)

    assert content(download) == b"1"
    assert "is damaged" in str(download.problem)
    download.close()


def test_nothing_saved_is_an_error_that_leaves_nothing(store: MemoryBundles, temporary: Path) -> None:
    other = uuid4()

    with pytest.raises(NothingSavedError, match=f"no files of session {other} are saved yet"):
        Download(store, other)
    assert not list(temporary.iterdir())
