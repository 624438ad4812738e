from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.snapshots.repository import Repository
from tests.support.plain_sandbox import PlainSandbox


@pytest.fixture
def sandbox(tmp_path: Path) -> PlainSandbox:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return PlainSandbox(folder)


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    repository = Repository(tmp_path / "snapshots.git")
    with repository.locked():
        yield repository
