"""Roles and connections other than the bridge's."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.support.rows import Rows
from tests.support.session_pooler import SessionPooler


def as_role(dsn: str, role: str) -> str:
    parts = urlsplit(dsn)
    return f"postgresql://{role}:secret@{parts.hostname}:{parts.port}{parts.path}"


@pytest.fixture
def stranger(dsn: str, rows: Rows) -> Iterator[str]:
    rows.all("CREATE ROLE stranger LOGIN PASSWORD 'secret'")
    yield as_role(dsn, "stranger")
    rows.all("DROP OWNED BY stranger; DROP ROLE stranger")


@pytest.fixture
def connection(dsn: str) -> Any:
    with psycopg.connect(dsn) as connection:
        yield connection


@pytest.fixture
def pooler(dsn: str) -> Iterator[SessionPooler]:
    pooler = SessionPooler(dsn)
    yield pooler
    pooler.close()
