"""The stores of a run: this project's embedded Postgres and Redis, as they come, fsync on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import redis

from bridge.embedded import EmbeddedStores
from bridge.migrations import migrate_up

_TEMPLATE = "bench_template"


class Stores:
    def __init__(self, embedded: EmbeddedStores) -> None:
        self._embedded = embedded
        self.redis_url = embedded.redis.url
        self.redis: redis.Redis = redis.Redis.from_url(self.redis_url)
        self._admin = psycopg.connect(embedded.postgres.url("postgres"), autocommit=True)
        self._admin.execute(f'CREATE DATABASE "{_TEMPLATE}"')
        migrate_up(embedded.postgres.url(_TEMPLATE))

    @property
    def pids(self) -> dict[str, int]:
        return {"postgres": self._embedded.postgres.pid, "redis": self._embedded.redis.pid}

    def close(self) -> None:
        self._admin.close()
        self.redis.close()

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
            # What one measurement left to be written is not the next one's burden.
            self._admin.execute("CHECKPOINT")


@contextmanager
def open_stores(folder: Path) -> Iterator[Stores]:
    embedded = EmbeddedStores(folder)
    embedded.open_folder()
    try:
        embedded.start()
        stores = Stores(embedded)
        try:
            yield stores
        finally:
            stores.close()
    finally:
        embedded.stop()
