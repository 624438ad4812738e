"""Real processes, in a project folder of their own."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.dev.embedded import EmbeddedStores
from bridge.postgres.migrations import migrate_up
from tests.acceptance.processes import Fleet, Launched
from tests.support.running_stores import running_stores

ROOT = Path(__file__).parents[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.acceptance)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder as a user has it: the Procfile, the actors package, and one more module of actors."""
    project = tmp_path / "project"
    project.mkdir()
    shutil.copy(ROOT / "Procfile", project)
    shutil.copytree(ROOT / "actors", project / "actors", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(Path(__file__).with_name("extra_actors.py"), project / "actors" / "extra_actors.py")
    with (project / "actors" / "__init__.py").open("a") as package:
        package.write("from actors import extra_actors as extra_actors\n")
    tmp_path.chmod(0o700)  # like /root: closed to other users
    return project


@pytest.fixture
def launch(project: Path) -> Iterator[type[Launched]]:
    """Starts `mobvibe up` in the project. Processes that still run are ended after the test."""
    Launched.project = project
    yield Launched
    Launched.end_all()


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[EmbeddedStores]:
    """Stores of this test's own, which it may stop. Their data survives their crash."""
    with running_stores(tmp_path / "stores", {"max_connections": "50"}) as stores:
        migrate_up(stores.postgres.url())
        yield stores


@pytest.fixture
def outside(project: Path, addresses: dict[str, str], redis_url: str) -> Iterator[Fleet]:
    """Starts single processes against the stores of the test run."""
    fleet = Fleet(project, addresses | {"REDIS_URL": redis_url, "LEASE_MS": "3000"})
    yield fleet
    fleet.end_all()
