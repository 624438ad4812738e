"""The stores of a running `mobvibe up`: found from its folder, and never in production."""

import json
import os
from pathlib import Path

import pytest

from bridge.errors import SettingsError
from bridge.settings import load_settings
from bridge.settings.running_stores import RunningStores, find_running_stores, process_started, write_running_stores


def running(folder: Path, pid: int, started: str) -> RunningStores:
    stores = RunningStores(pid, started, "postgresql://e@h/d", "redis://e:1", "s" * 40, 8080)
    folder.mkdir(exist_ok=True)
    write_running_stores(folder, stores)
    return stores


def test_a_running_launcher_in_the_folder_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / ".mobvibe"
    running(folder, os.getpid(), str(process_started(os.getpid())))

    assert load_settings().postgres_dsn() == "postgresql://e@h/d"
    assert (folder / "stores.json").stat().st_mode & 0o077 == 0

    monkeypatch.setenv("DATABASE_URL", "postgresql://mine@h/d")
    assert load_settings().postgres_dsn() == "postgresql://mine@h/d"
    assert load_settings().redis_address() == "redis://e:1"


@pytest.mark.parametrize("mode", ["production", "staging"])
def test_embedded_stores_are_used_in_development_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: str
) -> None:
    running(tmp_path / ".mobvibe", os.getpid(), str(process_started(os.getpid())))
    monkeypatch.setenv("NODE_ENV", mode)

    with pytest.raises(SettingsError, match="DATABASE_URL is missing"):
        load_settings().postgres_dsn()


def test_the_file_of_a_dead_launcher_is_ignored(tmp_path: Path) -> None:
    running(tmp_path, os.getpid(), "another process with this id")
    assert find_running_stores(tmp_path) is None

    for left in (json.dumps({"half": 1}), "[1]", "[" * 100_000, "\x00"):
        (tmp_path / "stores.json").write_text(left)
        assert find_running_stores(tmp_path) is None
