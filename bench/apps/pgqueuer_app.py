"""pgqueuer, as its guide sets it up."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries
from record import record


@asynccontextmanager
async def factory() -> AsyncIterator[PgQueuer]:
    queuer = PgQueuer(AsyncpgDriver(await asyncpg.connect(os.environ["DATABASE_URL"])))

    @queuer.entrypoint("noop")
    async def noop(job: Job) -> None:
        assert job.payload is not None
        record(int(job.payload))

    yield queuer


_loop = asyncio.new_event_loop()
_queries: Queries | None = None


def queries() -> Queries:
    global _queries  # noqa: PLW0603
    if _queries is None:
        _queries = Queries(AsyncpgDriver(_loop.run_until_complete(asyncpg.connect(os.environ["DATABASE_URL"]))))
    return _queries


def prepare() -> None:
    _loop.run_until_complete(queries().install())


def fill(count: int) -> None:
    for start in range(0, count, 5000):
        keys = range(start, min(start + 5000, count))
        payloads = [str(key).encode() for key in keys]
        _loop.run_until_complete(queries().enqueue(["noop"] * len(keys), payloads, [0] * len(keys)))


def send(key: int) -> None:
    _loop.run_until_complete(queries().enqueue("noop", str(key).encode()))


if __name__ == "__main__":
    from client import main

    main(prepare, fill, send)
