"""The tutorial from its first command to its last, with the wheel, in an environment outside of the repository."""

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import psycopg
import pytest

from bridge.dev.embedded.server import pick_port
from tests.acceptance.pages.conftest import ROOT, NewReader, copy
from tests.support.rows import Rows
from tests.support.waiting import eventually

TUTORIAL = ROOT / "docs" / "tutorial" / "first-ten-minutes.md"


@pytest.fixture(scope="module")
def dist(tracked: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive, and the wheel that is made from it."""
    folder = tmp_path_factory.mktemp("source")
    copy([file for file in tracked if file.parts[0] not in {"tests", "docs", "bench"}], folder)
    subprocess.run(
        [sys.executable, "-m", "build", "--outdir", "dist", "."], cwd=folder, capture_output=True, check=True
    )
    return folder / "dist"


def test_the_wheel_of_the_source_archive_holds_the_package_and_nothing_else(dist: Path, tracked: list[Path]) -> None:
    package = {file.as_posix() for file in tracked if file.parts[0] == "bridge"}
    (wheel,) = dist.glob("*.whl")
    (archive,) = dist.glob("*.tar.gz")

    with zipfile.ZipFile(wheel) as opened:
        names = {name for name in opened.namelist() if ".dist-info/" not in name}
        assert names == package
        assert [name for name in names if opened.read(name) != (ROOT / name).read_bytes()] == []
    with tarfile.open(archive) as opened_archive:
        held = {name.partition("/")[2] for name in opened_archive.getnames()}
    assert package | {"pyproject.toml", "README.md"} <= held


@pytest.mark.timeout(600)
def test_every_command_of_the_tutorial_runs_with_the_wheel(new_reader: NewReader, dist: Path, tmp_path: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    home = tmp_path / "home"
    home.mkdir()
    tmp_path.chmod(0o700)  # like /root: closed to other users
    reader = new_reader(
        home,
        environment={
            "PORT": str(pick_port()),
            "PIP_CONSTRAINT": str(ROOT / "constraints.txt"),
            "PIP_QUIET": "2",
            "PIP_NO_COMPILE": "1",
        },
        known={"/path/to/mobvibe": str(wheel)},
        seconds=400.0,
    )

    reader.follow(TUTORIAL)

    assert {"mobvibe --help", "mobvibe up", "python app.py Grace"} <= set(reader.typed)
    address = re.search(r"^  Postgres +(\S+)$", reader.running[0].output, re.MULTILINE)
    assert address
    with psycopg.connect(address[1], autocommit=True) as connection:
        rows = Rows(connection)
        eventually(lambda: not rows.all("SELECT FROM coding_jobs WHERE completed_at IS NULL"), seconds=60)
        assert rows.all("SELECT payload->>'name' AS name, status, result FROM coding_jobs ORDER BY created_at") == [
            {"name": "Ada", "status": "completed", "result": {"greeting": "Hello, Ada"}},
            {"name": None, "status": "failed", "result": None},
            {"name": "Grace", "status": "completed", "result": {"greeting": "Hello, Grace"}},
        ]
        assert rows.all("SELECT name FROM customers") == [{"name": "Grace"}]
    installed = reader.run("python -c 'import bridge; print(bridge.__file__)'")
    assert installed.startswith(str(home / "shop" / ".venv"))
