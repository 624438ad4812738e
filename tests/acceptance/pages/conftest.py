"""What a reader begins with."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.acceptance.pages.reader import Reader

ROOT = Path(__file__).parents[3]


class NewReader(Protocol):
    def __call__(self, folder: Path, **options: Any) -> Reader: ...


@pytest.fixture
def new_reader() -> Iterator[NewReader]:
    """Makes readers. What they started is ended after the test."""
    with ExitStack() as stack:

        def new_reader(folder: Path, **options: Any) -> Reader:
            reader = Reader(folder, **options)
            stack.callback(reader.end_all)
            return reader

        yield new_reader


@pytest.fixture(scope="session")
def tracked() -> list[Path]:
    """All files of the repository, from its root."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [Path(name) for name in listed.split("\0") if (ROOT / name).is_file()]


def copy(files: list[Path], folder: Path) -> None:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, folder / file)


@pytest.fixture
def checkout(tracked: list[Path], tmp_path: Path) -> Path:
    """A folder as a user gets it, with the environment that `make install` would make."""
    folder = tmp_path / "mobvibe"
    copy([file for file in tracked if file.parts[0] not in {"tests", "docs", "bench"}], folder)
    tmp_path.chmod(0o700)  # like /root: closed to other users
    return folder
