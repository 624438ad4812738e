"""The web app in the test's process, with and without stores, and a web process of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr

from bridge.settings import Settings
from tests.support.web import REQUEST_SECONDS, SECRET, WebProcess, client_of


@pytest.fixture
def client(settings: Settings) -> Iterator[FlaskClient]:
    client = client_of(settings)
    yield client
    client.application.extensions["mobvibe"].pool.close()


@pytest.fixture
def cut_off(settings: Settings) -> FlaskClient:
    """A web process whose stores do not answer."""
    return client_of(
        settings,
        database_url=SecretStr("postgresql://u:geheim@127.0.0.1:9/d"),
        redis_url=SecretStr("redis://:geheim@127.0.0.1:9/0"),
    )


@pytest.fixture
def web(addresses: dict[str, str], redis_url: str, tmp_path: Path) -> Iterator[WebProcess]:
    web = WebProcess(addresses["DATABASE_URL"], redis_url, SECRET, tmp_path, request_seconds=REQUEST_SECONDS)
    yield web
    web.end()


@pytest.fixture
def closed_web(addresses: dict[str, str], redis_url: str, tmp_path: Path) -> Iterator[WebProcess]:
    """A web process that asks for a password."""
    web = WebProcess(addresses["DATABASE_URL"], redis_url, SECRET, tmp_path, DASHBOARD_PASSWORD="correct horse")
    yield web
    web.end()
