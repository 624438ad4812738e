"""`mobvibe up` checks first whether the Procfile's worker will find its actors package."""

import subprocess
import sys
from pathlib import Path

import pytest

from bridge.dev.up.actors_package import NoActorsPackageError, check_actors_package


@pytest.fixture
def procfile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    procfile = tmp_path / "Procfile"
    procfile.write_text("worker: mobvibe worker\n")
    return procfile


def test_a_missing_package_is_named_with_a_command_that_makes_it(procfile: Path) -> None:
    with pytest.raises(NoActorsPackageError, match="There is no package 'own_tasks.jobs' in ") as missing:
        check_actors_package("own_tasks.jobs", procfile)

    subprocess.run(["sh", "-c", str(missing.value).partition("with: ")[2]], check=True)
    check_actors_package("own_tasks.jobs", procfile)
    assert "@actor" in (procfile.parent / "own_tasks/jobs/__init__.py").read_text()
    assert str(procfile.parent) not in sys.path


def test_another_worker_has_a_package_of_its_own(procfile: Path) -> None:
    procfile.write_text("worker: dramatiq theirs\n")

    check_actors_package("nowhere_at_all", procfile)
