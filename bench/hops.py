"""`python -m bench.hops`: where the time from a commit to the first line of the actor goes, hop by hop.

Nothing is built into the product for it: the database's clock says when a job was claimed and started, a second
listener when the notification came, and Redis' MONITOR when the message was put on its queue and fetched from it.
"""

import argparse
import re
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg

from bench.contestants import bridge
from bench.fleet import Fleet, open_fleet
from bench.latency import BUSY_RATE
from bench.stores import open_stores

# Hop → what happens in it, and its budget in microseconds: at the median, of jobs at 50 a second on two cores. The sum
# is what the goal allows: 1.6 times a peer that fetches from Postgres in the worker.
HOPS = {
    "notified": ("the commit's notification reaches a listener", 50),
    "claimed": ("the bridge's thread wakes, and its claim reaches Postgres", 300),
    "handed over": ("the claim commits, and its message is put on the queue in Redis", 800),
    "fetched": ("a worker is woken and takes the message", 500),
    "start sent": ("the start call reaches Postgres", 400),
    "begun": ("the start commits, and the job goes to its thread and to the actor", 950),
}
_JOB_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_REST_SECONDS = 2.0  # the time in which processes start up is not measured
Moments = dict[str, dict[str, float]]  # hop → job id → epoch seconds of its end


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.hops", description=__doc__)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--rate", type=float, default=BUSY_RATE, help="jobs a second")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mobvibe-hops-") as folder, open_stores(Path(folder) / "stores") as stores:
        work = Path(folder) / "work"
        work.mkdir()
        with open_fleet(bridge(), stores, work) as fleet:
            print("\n".join(_table(_measure(fleet, given.rate, given.jobs))))


def _measure(fleet: Fleet, rate: float, jobs: int) -> dict[str, list[float]]:
    """Hop → milliseconds of each job; and those of the whole way."""
    fleet.start()
    fleet.client("fill", "1")
    fleet.wait("the first job", lambda: fleet.done() > 0, 60)
    time.sleep(_REST_SECONDS)
    moments: Moments = {name: {} for name in ("committed", *HOPS)}
    with _listener(fleet.database_url, moments["notified"]), _monitor(fleet.stores.redis, moments):
        text = fleet.client("trickle", str(rate), str(jobs), seconds=jobs / rate + 60)
        fleet.wait("the last job", lambda: fleet.done() > jobs, 60)
    sent = dict(line.split() for line in text.splitlines())
    began = dict(sorted(fleet.reader.read(), key=lambda run: run[1]))
    rows = fleet.connection.execute(
        "SELECT id::text, payload->>'key', extract(epoch FROM claimed_at)::float8,"
        " extract(epoch FROM started_at)::float8 FROM coding_jobs ORDER BY seq OFFSET 1"
    )
    for job, key, claimed, started in rows:
        moments["committed"][job] = float(sent[key])
        moments["claimed"][job], moments["start sent"][job] = claimed, started
        moments["begun"][job] = began[int(key)]
    return differences(moments)


def differences(moments: Moments) -> dict[str, list[float]]:
    names = list(moments)
    jobs = set.intersection(*(set(times) for times in moments.values()))
    hops = {
        name: [1000 * (moments[name][job] - moments[before][job]) for job in jobs] for before, name in pairwise(names)
    }
    return hops | {"in all": [1000 * (moments["begun"][job] - moments["committed"][job]) for job in jobs]}


@contextmanager
def _listener(dsn: str, notified: dict[str, float]) -> Iterator[None]:
    over = threading.Event()

    def listen() -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("LISTEN new_job")
            while not over.is_set():
                for note in connection.notifies(timeout=0.2):
                    if found := _JOB_ID.search(note.payload):
                        notified[found[0]] = time.time()

    thread = threading.Thread(target=listen)
    thread.start()
    yield
    over.set()
    thread.join()


@contextmanager
def _monitor(redis: Any, moments: Moments) -> Iterator[None]:
    """`rpush` and `lpush` put a message on its queue, `sadd` notes who fetched it."""
    into: Mapping[str, dict[str, float]] = {
        "rpush": moments["handed over"], "lpush": moments["handed over"], "sadd": moments["fetched"],
    }  # fmt: skip
    over = threading.Event()
    is_ready = threading.Event()

    def read() -> None:
        with redis.monitor() as monitor:
            is_ready.set()
            while not over.is_set():
                seen = monitor.next_command()  # several come each second, also when no job does
                times = into.get(seen["command"].split(" ", 1)[0].lower(), {})
                for job in _JOB_ID.findall(seen["command"]):
                    times.setdefault(job, seen["time"])

    thread = threading.Thread(target=read)
    thread.start()
    is_ready.wait(10)
    yield
    over.set()
    thread.join()


def _table(hops: Mapping[str, list[float]]) -> Iterator[str]:
    yield "| hop | what happens in it | budget µs | p50 | p90 | p99 |"
    yield "| --- | --- | --- | --- | --- | --- |"
    budgets = HOPS | {"in all": ("", sum(budget for _, budget in HOPS.values()))}
    for name, (what, budget) in budgets.items():
        ordered = sorted(hops[name])
        found = [f"{1000 * ordered[int(share * len(ordered))]:,.0f}" for share in (0.5, 0.9, 0.99)]
        yield f"| {name} | {what} | {budget:,} | {' | '.join(found)} |"


if __name__ == "__main__":
    main()
