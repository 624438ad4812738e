"""This project, as its users run it: jobs inserted in Postgres, `bridge run`, Dramatiq's own command line."""

import os
import signal
import time

import dramatiq
import psycopg
from record import record

from bridge import Job, actor, enqueue
from bridge.broker import connect_broker

if __name__ != "__main__":
    connect_broker()

    @actor(queue_name="bench")
    def noop(job: Job) -> None:
        record(job.payload["key"])

    @actor(queue_name="bench")
    def nap(job: Job) -> None:
        record(job.payload["key"])
        time.sleep(0.02)

    @actor(queue_name="bench")
    def sleep(job: Job) -> None:
        record(job.payload["key"])
        time.sleep(job.payload["seconds"])

    @actor(queue_name="bench")
    def killer(job: Job) -> None:
        record(job.payload["key"])
        time.sleep(0.2)
        record(-job.payload["key"])  # the moment of its death
        os.kill(os.getpid(), signal.SIGKILL)

    @dramatiq.actor(queue_name="bench")
    def plain(key: int) -> None:
        record(key)

    @actor(queue_name="bench")
    def run_coding_session(job: Job) -> None:
        record(int(str(job.prompt).split()[-1]))


_connection: "psycopg.Connection | None" = None


def connection() -> "psycopg.Connection":
    global _connection  # noqa: PLW0603 -- one client, one connection
    if _connection is None:
        _connection = psycopg.connect(os.environ["DATABASE_URL"])
        if "LISTEN_DATABASE_URL" in os.environ:  # behind a pooler, which may not know what was prepared
            _connection.prepare_threshold = None
    return _connection


def prepare() -> None:
    """Nothing to do: the database was copied from a migrated one."""


def fill(count: int) -> None:
    with connection() as open_connection:
        open_connection.execute(
            """INSERT INTO coding_jobs (actor, queue, payload)
               SELECT %s, %s, jsonb_build_object('key', n) FROM generate_series(0, %s - 1) AS n""",
            (os.environ.get("BENCH_ACTOR", "noop"), "bench", count),
        )


def send(key: int) -> None:
    enqueue(connection(), "noop", {"key": key})
    connection().commit()


if __name__ == "__main__":
    from client import main

    main(prepare, fill, send)
