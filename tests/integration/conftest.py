"""Servers and roles for the tests of several folders."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from bridge.broker import connect_broker
from bridge.settings import Settings
from tests.conftest import Servers
from tests.support import redis_servers
from tests.support.commands import CommandResult, Run, mobvibe
from tests.support.fleet import Add
from tests.support.limited_role import LimitedRole
from tests.support.proxy import Proxy, by_way_of, proxy_before
from tests.support.redis_servers import Open
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.turns import TurnSteps, close_records


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def plain(stack: ExitStack, tmp_path: Path) -> Open:
    """Starts servers with these lines in their configuration. Returns the port."""

    def start(*lines: str, sentinel: bool = False) -> int:
        return stack.enter_context(redis_servers.server(tmp_path / "redis", *lines, sentinel=sentinel))

    return start


@pytest.fixture
def proxy(dsn: str) -> Iterator[Proxy]:
    proxy = proxy_before(dsn)
    yield proxy
    proxy.close()


@pytest.fixture
def by_proxy(proxy: Proxy, dsn: str) -> str:
    return by_way_of(proxy, dsn)


@pytest.fixture
def role(servers: Servers, dsn: str, rows: Rows) -> Iterator[LimitedRole]:
    role = LimitedRole(servers, dsn, rows)
    yield role
    role.drop()


@pytest.fixture
def run(tmp_path: Path, addresses: dict[str, str], redis_url: str) -> Run:
    def run(*args: str, **environment: str) -> CommandResult:
        return mobvibe(*args, cwd=tmp_path, **(addresses | {"REDIS_URL": redis_url} | environment))

    return run


@pytest.fixture
def add(dsn: str, rows: Rows) -> Add:
    def add(actor: str, payload: dict[str, Any] | None = None, **columns: Any) -> UUID:
        return rows.add_job(actor=actor, queue=columns.pop("queue", "tests"), payload=payload or {}, **columns)

    return add


@pytest.fixture
def turns(settings: Settings, steps: Steps, rows: Rows) -> Iterator[TurnSteps]:
    """With a broker whose settings name this test's stores: `open_record` reads them."""
    broker = connect_broker(settings)
    yield TurnSteps(steps, rows)
    broker.close()
    close_records()
