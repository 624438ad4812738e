"""The stores of a run: this project's embedded Postgres and Redis with their default configuration, fsync on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import redis

from bridge.dev.embedded import EmbeddedStores
from bridge.postgres.migrations import migrate_up
from tests.support.running_stores import running_stores

_TEMPLATE = "bench_template"
PATIENCE = "-c statement_timeout=180s"  # for connections of the bench itself, whose queries are not worth a longer wait


class Stores:
    def __init__(self, embedded: EmbeddedStores) -> None:
        self._embedded = embedded
        self.redis_url = embedded.redis.url
        self.redis: redis.Redis = redis.Redis.from_url(self.redis_url)
        self._admin = psycopg.connect(embedded.postgres.url("postgres"), autocommit=True)
        self._admin.execute(f'CREATE DATABASE "{_TEMPLATE}"')
        migrate_up(embedded.postgres.url(_TEMPLATE))

    @property
    def postgres_url(self) -> str:
        return self._embedded.postgres.url("postgres")

    @property
    def pids(self) -> dict[str, int]:
        return {"postgres": self._embedded.postgres.pid, "redis": self._embedded.redis.pid}

    def close(self) -> None:
        self._admin.close()
        self.redis.close()

    def statements(self, database_url: str) -> int:
        """The number of transactions of a database. With autocommit, that is the number of statements.

        It is queried from another database, so that the query itself does not count.
        """
        row = self._admin.execute(
            "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = %s",
            [database_url.rpartition("/")[2]],
        ).fetchone()
        assert row is not None
        return int(row[0])

    def redis_commands(self) -> int:
        """How many commands Redis has run, those inside scripts included."""
        info: Any = self.redis.info("stats")
        return int(info["total_commands_processed"])

    @contextmanager
    def database(self, *, migrated: bool) -> Iterator[str]:
        """A new database and an empty Redis; the database's address."""
        name = f"bench_{uuid4().hex[:8]}"
        self.redis.flushall()
        self._admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{_TEMPLATE if migrated else "template0"}"')
        try:
            yield self._embedded.postgres.url(name)
        finally:
            self._admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
            # So that writes left over by one measurement do not slow down the next.
            self._admin.execute("CHECKPOINT")


@contextmanager
def open_stores(folder: Path) -> Iterator[Stores]:
    with running_stores(folder) as embedded:
        stores = Stores(embedded)
        try:
            yield stores
        finally:
            stores.close()
