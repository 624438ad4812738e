"""Both stores of one folder: used by one launcher at a time, and either both run or none."""

from pathlib import Path

import pytest

from bridge.dev.embedded import EmbeddedStores
from bridge.errors import EmbeddedStoreError


def test_a_folder_belongs_to_one_launcher_until_it_ends(tmp_path: Path) -> None:
    first, second = EmbeddedStores(tmp_path / "dir"), EmbeddedStores(tmp_path / "dir")
    assert first.open_folder() == []

    with pytest.raises(EmbeddedStoreError, match=r"is already running in this folder \(pid \d+\)"):
        second.open_folder()
    first.stop()

    assert second.open_folder() == []
    assert (tmp_path / "dir" / ".gitignore").read_text() == "*\n"
    second.stop()


def test_when_one_store_fails_the_other_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stores = EmbeddedStores(tmp_path, {"fsync": "off"})
    stores.open_folder()

    def fail(_: int | None) -> None:
        assert stores.postgres.is_running()
        raise EmbeddedStoreError("no room")

    monkeypatch.setattr(stores.redis, "start", fail)
    with pytest.raises(EmbeddedStoreError, match="no room"):
        stores.start()

    assert not stores.postgres.is_running()
