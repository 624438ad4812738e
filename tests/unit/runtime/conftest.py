"""A process with a liveness file, and a probe that reads it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from bridge.runtime import liveness
from bridge.runtime.liveness import Liveness
from bridge.runtime.watchdog import Watchdog
from bridge.settings import Settings
from tests.support.commands import CommandResult, mobvibe

DATABASE = "postgresql://user:geheim@127.0.0.1:9/ours"
Probe = Callable[..., CommandResult]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(database_url=SecretStr(DATABASE), mobvibe_dir=tmp_path / "dir")


@pytest.fixture
def dog() -> Watchdog:
    return Watchdog()


@pytest.fixture
def live(settings: Settings, dog: Watchdog, monkeypatch: pytest.MonkeyPatch) -> Iterator[Liveness]:
    """The liveness of a pretended bridge, with a watchdog that watches only the test's threads."""
    monkeypatch.setattr(liveness, "WATCHDOG", dog)
    live = Liveness("bridge", settings)
    yield live
    live.close()


@pytest.fixture
def probe(tmp_path: Path) -> Probe:
    def run(*args: str, **environment: str) -> CommandResult:
        environment = {"MOBVIBE_DIR": str(tmp_path / "dir"), "DATABASE_URL": DATABASE} | environment
        return mobvibe("healthcheck", *args, cwd=tmp_path, **environment)

    return run
