"""The contestants and their commands: two worker processes with eight threads each, unless the name says otherwise."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg

from bench.stores import Stores

DRAMATIQ = "{bin}/dramatiq"
TWO_BY_EIGHT = ("--processes", "2", "--threads", "8")


@dataclass(frozen=True)
class Contestant:
    """`unfinished` returns how many jobs in the stores have not ended yet."""

    name: str
    app: str
    commands: tuple[tuple[str, ...], ...]
    unfinished: Callable[[Stores, "psycopg.Connection"], int]
    requirements: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    jobs: int = 50_000  # of a drain: enough for several seconds
    migrated: bool = False


def _of_table(query: str) -> Callable[[Stores, "psycopg.Connection"], int]:
    def unfinished(_: Stores, connection: "psycopg.Connection") -> int:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return int(row[0])

    return unfinished


def _dramatiq_messages(stores: Stores, _: "psycopg.Connection") -> int:
    waiting: Any = stores.redis.hlen("dramatiq:bench.msgs")
    return int(waiting)


def _celery_messages(stores: Stores, _: "psycopg.Connection") -> int:
    waiting: Any = stores.redis.llen("celery")
    taken: Any = stores.redis.hlen("unacked")
    return int(waiting) + int(taken)


our_rows = _of_table("SELECT count(*) FROM coding_jobs WHERE status IN ('pending', 'processing')")


RUN = ("{bin}/python", "-m", "bridge", "run")


def bridge(
    name: str = "bridge",
    *,
    processes: int = 2,
    bridges: int = 1,
    actor: str = "noop",
    run: tuple[str, ...] = RUN,
    env: Mapping[str, str] | None = None,
) -> Contestant:
    """This project with its default settings: real `bridge run`, Dramatiq's own command line."""
    fleet = (DRAMATIQ, "bridge_app", "--processes", str(processes), "--threads", "8")
    return Contestant(
        name,
        "bridge_app",
        (*(run,) * bridges, fleet),
        our_rows,
        migrated=True,
        env={"BENCH_ACTOR": actor} | dict(env or {}),
    )


def procfile(http_port: int) -> Contestant:
    """This project's three processes, as in the Procfile."""
    commands = tuple(("{bin}/python", "-m", "bridge", name) for name in ("run", "worker", "web"))
    env = {"ACTORS_MODULE": "bridge_app", "HEALTH_CHECK_PORT": str(http_port)}
    return Contestant("procfile", "bridge_app", commands, our_rows, migrated=True, env=env)


_pgqueuer = "{bin}/pgq", "run", "pgqueuer_app:factory"
# Its command line fails with a newer typer.
_PGQUEUER = ("pgqueuer[asyncpg]==1.6.0", "typer==0.16.0", "click==8.1.8")
_pgqueuer_rows = _of_table("SELECT count(*) FROM pgqueuer")

CONTESTANTS = {
    contestant.name: contestant
    for contestant in (
        bridge(),
        Contestant(
            "dramatiq", "dramatiq_app", ((DRAMATIQ, "dramatiq_app", *TWO_BY_EIGHT),), _dramatiq_messages, jobs=30_000
        ),
        Contestant(
            "dramatiq_best", "dramatiq_app", ((DRAMATIQ, "dramatiq_app", *TWO_BY_EIGHT),), _dramatiq_messages,
            env={"dramatiq_queue_prefetch": "200"}, jobs=30_000,
        ),
        Contestant(
            "pgqueuer", "pgqueuer_app", ((*_pgqueuer,), (*_pgqueuer,)), _pgqueuer_rows,
            requirements=_PGQUEUER, jobs=20_000,
        ),
        Contestant(
            "pgqueuer_best", "pgqueuer_app", ((*_pgqueuer, "--batch-size", "500"),) * 2, _pgqueuer_rows,
            requirements=_PGQUEUER,
        ),
        Contestant(
            "procrastinate", "procrastinate_app",
            (("{bin}/procrastinate", "--app", "procrastinate_app.app", "worker", "--concurrency", "8"),) * 2,
            _of_table("SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"),
            requirements=("procrastinate==3.10.0", "psycopg[binary,pool]==3.3.9"), jobs=3_000,
        ),
        Contestant(
            "celery", "celery_app",
            (("{bin}/celery", "-A", "celery_app", "worker", "--concurrency", "2", "--loglevel", "INFO"),),
            _celery_messages, requirements=("celery[redis]==5.7.0",), jobs=5_000,
        ),
    )
}  # fmt: skip


def environment(contestant: Contestant, database_url: str, stores: Stores, records: str) -> dict[str, str]:
    """The environment variables of a contestant's processes."""
    keep = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return keep | {
        "DATABASE_URL": database_url, "REDIS_URL": stores.redis_url, "BENCH_RECORDS": records, **contestant.env,
    }  # fmt: skip
