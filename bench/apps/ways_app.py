"""The client's side of each documented way to insert a job: bench/ways.py names them.

`fill WAY FIRST COUNT` inserts jobs with the keys FIRST, FIRST + 1, … in one transaction.
`rate WAY SECONDS` inserts as fast as one client can, and prints rows a second.
`trickle WAYS RATE FIRST COUNT` prints "way key seconds" for each job: the epoch seconds when its commit had returned.
"""

import http.client
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache
from pathlib import Path
from uuid import uuid4

import psycopg
from bridge_app import plain

from bridge import enqueue
from bridge.web.tokens import make_token

_NAMED = "INSERT INTO coding_jobs (actor, queue, payload) VALUES ('noop', 'bench', %s)"
_PLAIN = "INSERT INTO coding_jobs (actor, payload) VALUES ('noop', %s)"
_MANY = (
    "INSERT INTO coding_jobs (actor, payload)"
    " SELECT 'noop', jsonb_build_object('key', n) FROM generate_series(%s::bigint, %s::bigint) AS n"
)
_COPY = "COPY coding_jobs (actor, payload) FROM STDIN"
_AT_ONCE = 1000  # rows a statement, where a way takes many
_LEAST = 3  # statements or commands, however long one takes


@cache
def connection() -> "psycopg.Connection":
    return psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)


# One job, committed.


def named(key: int) -> None:
    connection().execute(_NAMED, (payload(key),))


def plain_sql(key: int) -> None:
    connection().execute(_PLAIN, (payload(key),))


def by_enqueue(key: int) -> None:
    enqueue(connection(), "noop", {"key": key})


def send(key: int) -> None:
    plain.send(key)


def endpoint(key: int) -> None:
    web, token = client(), make_token(uuid4(), os.environ["SUPABASE_JWT_SECRET"], timedelta(hours=1))
    body = json.dumps({"projectId": str(uuid4()), "prompt": f"Do nothing, {key}"})
    web.request("POST", "/functions/v1/start-coding-session", body, {"Authorization": f"Bearer {token}"})
    reply = web.getresponse()
    if reply.status != http.HTTPStatus.CREATED:
        sys.exit(f"{reply.status}: {reply.read()!r}")
    reply.read()


@cache
def client() -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", int(os.environ["HEALTH_CHECK_PORT"]), timeout=30)


def command(key: int) -> None:
    mobvibe = Path(sys.executable).with_name("mobvibe")
    subprocess.run(
        [mobvibe, "jobs", "send", "--actor", "noop", "--payload", payload(key)], check=True, capture_output=True
    )


def payload(key: int) -> str:
    return json.dumps({"key": key})


# Many jobs in one transaction.


def each(statement: str) -> Callable[[int, int], None]:
    def fill(first: int, count: int) -> None:
        with connection().transaction(), connection().cursor() as cursor:
            cursor.executemany(statement, [(payload(key),) for key in range(first, first + count)])

    return fill


def each_by_enqueue(first: int, count: int) -> None:
    with connection().transaction():
        for key in range(first, first + count):
            by_enqueue(key)


def many_rows(first: int, count: int) -> None:
    connection().execute(_MANY, (first, first + count - 1))


def copy(first: int, count: int) -> None:
    with connection().cursor() as cursor, cursor.copy(_COPY) as rows:
        for key in range(first, first + count):
            rows.write_row(("noop", payload(key)))


ONE: dict[str, Callable[[int], None]] = {
    "named": named, "plain_sql": plain_sql, "enqueue": by_enqueue, "send": send, "endpoint": endpoint,
    "command": command,
}  # fmt: skip
MANY: dict[str, Callable[[int, int], None]] = {
    "named": each(_NAMED), "plain_sql": each(_PLAIN), "enqueue": each_by_enqueue, "many_rows": many_rows, "copy": copy,
}  # fmt: skip


def rate(way: str, seconds: float) -> float:
    step, insert = (1, ONE[way]) if way in ONE else (_AT_ONCE, lambda key: MANY[way](key, _AT_ONCE))
    insert(0)  # connects
    began, rows = time.perf_counter(), 0
    while rows < _LEAST * step or time.perf_counter() < began + seconds:
        rows += step
        insert(rows)
    return rows / (time.perf_counter() - began)


def trickle(ways: Sequence[str], per_second: float, first: int, count: int) -> list[tuple[str, int, float]]:
    """Each of the ways as often as the others, in an order that favours none."""
    dice = random.Random(1)  # noqa: S311 -- the same order in each run
    order = [way for _ in range(count // len(ways)) for way in dice.sample(ways, len(ways))]
    sent = []
    began = time.time()
    for number, way in enumerate(order):
        time.sleep(max(0.0, began + number / per_second - time.time()))
        ONE[way](first + number)
        sent.append((way, first + number, time.time()))
    return sent


def main() -> None:
    match sys.argv[1:]:
        case ["prepare"]:
            pass  # the schema is there: the database was copied from a migrated one
        case ["fill", way, first, count]:
            MANY[way](int(first), int(count))
        case ["rate", way, seconds]:
            print(rate(way, float(seconds)))
        case ["trickle", ways, per_second, first, count]:
            for way, key, when in trickle(ways.split(","), float(per_second), int(first), int(count)):
                print(way, key, when)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
