"""A few connections for many threads."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from bridge.errors import (
    PostgresUnavailableError,
)
from bridge.postgres.pool import Pool
from bridge.settings import Settings
from bridge.web.app import create_app


def test_the_pool_of_the_web_process_keeps_to_its_setting(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"web_database_connections": 1}))
    pool: Pool = app.extensions["mobvibe"].pool
    with pool.connection(), pytest.raises(PostgresUnavailableError, match="no connection to Postgres in time"):
        pool.call("ping")
    pool.close()


@pytest.fixture
def pool(dsn: str) -> Iterator[Pool]:
    pool = Pool(dsn, "test", size=1)
    yield pool
    pool.close()


def test_a_connection_that_opened_while_the_database_was_read_only_is_replaced(pool: Pool) -> None:
    with pool.connection() as connection:
        connection.execute("SET default_transaction_read_only = on")
    with pytest.raises(PostgresUnavailableError, match="read-only"):
        pool.call("prune_workers", {"age": timedelta(days=7)})

    pool.call("prune_workers", {"age": timedelta(days=7)})
