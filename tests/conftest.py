"""Stores for the tests: one real Postgres and one real Redis per pytest process, one database per test.

TEST_DATABASE_URL (a superuser's) and TEST_REDIS_URL use servers of your own instead of the embedded ones.
TEST_TEMPLATE names a database there to copy instead of a freshly migrated one. TEST_POOLER=transaction puts a PgBouncer
in that mode before Postgres for the code under test, and LISTEN_DATABASE_URL leads past it. TEST_REDIS=sentinel uses a
primary and its replica behind three Sentinels, which change places every TEST_FAILOVER_SECONDS.
"""

import itertools
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from bridge.dev.embedded import EmbeddedStores
from bridge.postgres.link import Link
from bridge.postgres.migrations import migrate_up
from bridge.runtime.outages import OPEN_OUTAGES
from bridge.settings import Settings
from tests.support import legacy
from tests.support.failover_loop import NO_FAILOVER, empty, failovers, patient_client
from tests.support.fleet import Fleet
from tests.support.pgbouncer import PgBouncer, pgbouncer, skip_without_pgbouncer
from tests.support.redis_groups import watched
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.store_folder import store_folder

# The actors package reads its settings when it is imported. Nothing listens there.
os.environ["DATABASE_URL"] = "postgresql://nobody@127.0.0.1:9/none"
os.environ["REDIS_URL"] = "redis://127.0.0.1:9/0"
for name in ("NODE_ENV", "APP_ENV", "FORCE_COLOR"):
    os.environ.pop(name, None)

TEMPLATE = "mobvibe_template"
# A crash may lose only the data of this run, so no fsync is needed.
FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "max_wal_size": "128MB",  # the data may lie in memory
    "scram_iterations": "1",  # a test makes many connections, and its passwords are no secrets
}


# Tests wait for processes, leases and locks much longer than they compute.
PROCESSES_PER_CORE = 3


def pytest_xdist_auto_num_workers() -> int:
    """`-n auto`: one process alone on servers of somebody else's, for tests use roles and connections of all of it."""
    return 0 if os.environ.get("TEST_DATABASE_URL") else PROCESSES_PER_CORE * (os.cpu_count() or 1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test printed goes to another process as UTF-8, which has no halves of characters."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


@dataclass(frozen=True)
class Servers:
    """The address of a superuser without a database name, and that of a Redis database that may be emptied."""

    postgres: str
    redis: str

    def database_url(self, name: str) -> str:
        return f"{self.postgres}/{name}"


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    given = os.environ.get("TEST_DATABASE_URL"), os.environ.get("TEST_REDIS_URL")
    if given[0] and given[1]:
        yield Servers(given[0].rpartition("/")[0], given[1])
        return
    with store_folder(tmp_path_factory.mktemp("stores")) as folder:
        stores = EmbeddedStores(folder / "stores", FAST)
        stores.open_folder()
        stores.start()
        url = stores.postgres.url("postgres")
        with psycopg.connect(url, autocommit=True) as connection:
            # As it was, with fewer iterations.
            password = sql.Literal(connection.info.password)
            connection.execute(sql.SQL("ALTER ROLE CURRENT_USER PASSWORD {}").format(password))
        with redis_of_all(folder, stores.redis.url) as redis_url:
            yield Servers(url.rpartition("/")[0], redis_url)
        stores.stop()


@contextmanager
def redis_of_all(folder: Path, single: str) -> Iterator[str]:
    """The address of the Redis of TEST_REDIS: one for all tests of a process."""
    if os.environ.get("TEST_REDIS") != "sentinel":
        yield single
        return
    with watched(folder / "sentinel") as group, failovers(group, float(os.environ.get("TEST_FAILOVER_SECONDS", "0"))):
        yield group.url


@pytest.fixture(scope="session")
def template_database(servers: Servers) -> str:
    """A migrated database to copy. A copy takes a tenth of the time of a migration."""
    if given := os.environ.get("TEST_TEMPLATE"):
        return given
    with psycopg.connect(servers.database_url("postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {TEMPLATE}")
        connection.execute(f"CREATE DATABASE {TEMPLATE}")
    migrate_up(servers.database_url(TEMPLATE))
    return TEMPLATE


def new_database(servers: Servers, template: str) -> Iterator[str]:
    name = f"test_{uuid4().hex[:12]}"
    with psycopg.connect(servers.database_url("postgres"), autocommit=True) as connection:
        # The default writes each page to the log as well: three times the work.
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        yield servers.database_url(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(autouse=True)
def _no_outage_of_an_earlier_test() -> None:
    OPEN_OUTAGES.clear()


@pytest.fixture(autouse=True)
def _no_failover_beside_a_test_that_itself_uses_redis(request: pytest.FixtureRequest) -> Iterator[None]:
    uses = signature(request.function).parameters.keys() & {"redis_url", "client"}
    with NO_FAILOVER if uses or request.node.get_closest_marker("steady_redis") else nullcontext():
        yield


@pytest.fixture
def dsn(servers: Servers, template_database: str) -> Iterator[str]:
    """A migrated database of this test's own."""
    yield from new_database(servers, template_database)


@pytest.fixture
def empty_dsn(servers: Servers) -> Iterator[str]:
    """A database with nothing in it."""
    yield from new_database(servers, "template0")


@pytest.fixture
def web_roles(servers: Servers, template_database: str) -> Iterator[None]:
    """Roles are shared by all databases of a server, so these exist for one test only, and not in the template."""
    with psycopg.connect(servers.database_url("postgres"), autocommit=True) as connection:
        connection.execute(legacy.NO_ROLES)
        connection.execute(legacy.ROLES)
        yield
        connection.execute(legacy.NO_ROLES)


@pytest.fixture
def rows(dsn: str) -> Iterator[Rows]:
    """The test's own connection to the database, apart from the code under test."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield Rows(connection)


@pytest.fixture
def link(dsn: str) -> Iterator[Link]:
    link = Link(dsn, "test")
    yield link
    link.close()


@pytest.fixture
def redis_url(servers: Servers) -> str:
    """The address of an empty Redis database. Other databases of that server may be in use by other runs."""
    with patient_client(servers.redis) as client:
        empty(client)
    return servers.redis


@pytest.fixture
def new_pgbouncer(servers: Servers, tmp_path: Path) -> Iterator[Callable[..., PgBouncer]]:
    """Starts a PgBouncer before the Postgres of the tests: `new_pgbouncer("session", default_pool_size=1)`."""
    skip_without_pgbouncer()
    numbers = itertools.count()
    with ExitStack() as stack:

        def new_pgbouncer(mode: str = "transaction", **settings: Any) -> PgBouncer:
            folder = tmp_path / f"pgbouncer{next(numbers)}"
            return stack.enter_context(pgbouncer(folder, servers.postgres, mode, **settings))

        yield new_pgbouncer


@pytest.fixture(scope="session")
def pooler_of_all(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PgBouncer | None]:
    """The pooler of TEST_POOLER: one for all tests of a process."""
    mode = os.environ.get("TEST_POOLER")
    if not mode:
        yield None
        return
    folder = tmp_path_factory.mktemp("pooler")
    with pgbouncer(folder, servers.postgres, mode, server_idle_timeout=3) as pooler:  # each database has its pool
        yield pooler


@pytest.fixture
def addresses(dsn: str, pooler_of_all: PgBouncer | None) -> dict[str, str]:
    """DATABASE_URL, and where a pooler is LISTEN_DATABASE_URL, of the code under test."""
    if pooler_of_all is None:
        return {"DATABASE_URL": dsn}
    return {"DATABASE_URL": pooler_of_all.before(dsn), "LISTEN_DATABASE_URL": dsn}


@pytest.fixture
def settings(addresses: dict[str, str], redis_url: str, tmp_path: Path) -> Settings:
    """Settings for the stores of this test, whatever the environment says."""
    return Settings(
        _env_file=None,  # type: ignore[call-arg]
        database_url=addresses["DATABASE_URL"],  # type: ignore[arg-type]
        listen_database_url=addresses.get("LISTEN_DATABASE_URL"),  # type: ignore[arg-type]
        redis_url=redis_url,  # type: ignore[arg-type]
        mobvibe_dir=tmp_path / ".mobvibe",
    )


@pytest.fixture
def steps(dsn: str, rows: Rows) -> Iterator[Steps]:
    steps = Steps(dsn, rows)
    yield steps
    steps.close()


@pytest.fixture
def new_fleet(settings: Settings) -> Iterator[Callable[..., Fleet]]:
    """Makes fleets with settings of their own: `new_fleet(lease_ms=1500)`. Nothing runs in them yet."""
    with ExitStack() as stack:

        def new_fleet(**overrides: Any) -> Fleet:
            fleet = Fleet(settings.model_copy(update=overrides))
            stack.callback(fleet.stop)
            return fleet

        yield new_fleet


@pytest.fixture
def fleet(new_fleet: Callable[..., Fleet]) -> Fleet:
    """A running bridge and a running worker with four threads."""
    return new_fleet().start()


@pytest.fixture
def quick_fleet(new_fleet: Callable[..., Fleet]) -> Fleet:
    """The same with a short lease, so that a test can wait for heartbeats and for the lease's end."""
    return new_fleet(lease_ms=1500).start()
