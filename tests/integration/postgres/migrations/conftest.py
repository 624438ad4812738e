"""Databases of earlier versions."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.support import legacy
from tests.support.rows import Rows


@pytest.fixture
def old(empty_dsn: str) -> Iterator[Rows]:
    """A MobVibe database as the Node worker used it."""
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        rows = Rows(connection)
        rows.all(legacy.SCHEMA + legacy.session_events("data", checked=True))
        yield rows
