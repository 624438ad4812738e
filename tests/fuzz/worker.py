"""A real bridge and a real `dramatiq` worker, with junk on their queue and real jobs in between."""

import json
import random
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import redis

from tests.acceptance.processes import BIN, Process
from tests.fuzz.hints import any_hint, any_notification
from tests.fuzz.messages import ACTOR, QUEUE, Fate, Junk, JunkSource
from tests.fuzz.verdict import Tally, check_log
from tests.support.rows import Rows
from tests.support.waiting import eventually

NAMESPACE = "fuzz"
LIST, PAYLOADS, DEAD = (f"{NAMESPACE}:{QUEUE}{end}" for end in ("", ".msgs", ".XQ.msgs"))
_ROOT = Path(__file__).parents[2]
_BATCH = 250
_AHEAD = 2000
_SECONDS = 60.0


@dataclass
class Fleet:
    """What runs, and what was sent to it."""

    bridge: Process
    worker: Process
    client: "redis.Redis"
    rows: Rows
    written: Path
    junk: dict[bytes, Junk] = field(default_factory=dict)

    def family(self) -> set[int]:
        return {child.pid for process in (self.bridge, self.worker) for child in process.descendants()}


def fuzz_worker(dsn: str, redis_url: str, secrets: tuple[str, ...], folder: Path, count: int, seed: int) -> Tally:
    """Put `count` messages before the worker; what became of them, and of the real jobs."""
    dice = random.Random(seed)
    source = JunkSource(dice)
    tally = Tally()
    with open_fleet(dsn, redis_url, folder) as fleet:
        family = fleet.family()
        try:
            for start in range(0, count, _BATCH):
                _say(fleet, dice, tally)
                _put(fleet, dice, [source.next() for _ in range(min(_BATCH, count - start))], tally)
                _insert_jobs(fleet)
                source.saw(_real_messages(fleet))
                eventually(lambda: _waiting(fleet) < _AHEAD, seconds=_SECONDS, what="a worker that takes messages")
            eventually(lambda: _is_over(fleet), seconds=_SECONDS, what="an end of all messages and jobs")
        except AssertionError as error:
            tally.violate("progress", str(error))
        if fleet.family() != family or {fleet.bridge.popen.poll(), fleet.worker.popen.poll()} != {None}:
            tally.violate("processes", "one of them ended")
        _check_jobs(fleet, tally)
        _check_junk(fleet, tally)
        fleet.worker.stop()
        fleet.bridge.stop()
        check_log(tally, "bridge", fleet.bridge.output, secrets)
        check_log(tally, "worker", fleet.worker.output, secrets)
        _check_lines(fleet, tally)
    return tally


@contextmanager
def open_fleet(dsn: str, redis_url: str, folder: Path) -> Iterator[Fleet]:
    written = folder / "written"
    written.touch()
    environment = {
        "DATABASE_URL": dsn, "REDIS_URL": redis_url, "REDIS_NAMESPACE": NAMESPACE, "LOG_FORMAT": "json",
        "FUZZ_FILE": str(written), "PYTHONPATH": str(_ROOT),
    }  # fmt: skip
    command = [str(BIN / "dramatiq"), "tests.fuzz.actors", "-p", "1", "-t", "4", "--skip-logging"]
    worker = Process(command, folder, environment, folder / "worker.log")
    bridge = Process([sys.executable, "-m", "bridge", "run"], folder, environment, folder / "bridge.log")
    try:
        worker.wait_for("Worker ready")
        bridge.wait_for("Bridge ready")
        with psycopg.connect(dsn, autocommit=True) as connection, redis.Redis.from_url(redis_url) as client:
            yield Fleet(bridge, worker, client, Rows(connection), written)
    finally:
        worker.end()
        bridge.end()


def _say(fleet: Fleet, dice: random.Random, tally: Tally) -> None:
    """Nonsense on the channels of hints, which are nobody's to answer."""
    for channel in ("__freed__", "__wake__", "__freed__"):
        fleet.client.publish(f"{NAMESPACE}:{channel}", any_hint(dice))
        tally.note("hint", accepted=True)
    for channel in ("new_job", "job_status_changed", "new_job"):
        fleet.rows.all("SELECT pg_notify(%s, %s)", [channel, any_notification(dice)])
        tally.note("notification", accepted=True)


def _put(fleet: Fleet, dice: random.Random, batch: list[Junk], tally: Tally) -> None:
    with fleet.client.pipeline(transaction=False) as pipe:
        for junk in batch:
            tally.note(junk.kind, accepted=junk.fate is not Fate.ASIDE)
            if junk.kind != "delivered again":
                fleet.junk[junk.redis_id] = junk
            if junk.data is not None:
                pipe.hset(PAYLOADS, junk.redis_id, junk.data)
            push = pipe.lpush if dice.random() < 0.2 else pipe.rpush
            push(LIST, *[junk.redis_id] * (2 if dice.random() < 0.03 else 1))
        pipe.publish(f"{NAMESPACE}:__wake__", QUEUE)
        pipe.execute()


def _insert_jobs(fleet: Fleet) -> None:
    fleet.rows.all(
        "INSERT INTO coding_jobs (actor, queue, payload) SELECT %s, %s, '{}' FROM generate_series(1, 5)", [ACTOR, QUEUE]
    )


def _real_messages(fleet: Fleet) -> list[tuple[bytes, bytes]]:
    there: Any = fleet.client.hkeys(PAYLOADS)
    names = [name for name in there if name not in fleet.junk]
    found: Any = fleet.client.hmget(PAYLOADS, names) if names else []
    return [(name, data) for name, data in zip(names, found, strict=True) if data is not None]


def _waiting(fleet: Fleet) -> int:
    return int(fleet.client.llen(LIST))


def _is_over(fleet: Fleet) -> bool:
    open_jobs = fleet.rows.value("SELECT count(*) FROM coding_jobs WHERE status IN ('pending', 'processing')")
    return open_jobs == 0 and _waiting(fleet) == 0 and fleet.client.hlen(PAYLOADS) == 0


def _check_jobs(fleet: Fleet, tally: Tally) -> None:
    """Each real job completed, and ran once."""
    runs = Counter(fleet.written.read_text().split("\n")[:-1])
    jobs = fleet.rows.all("SELECT id, status, retry_count FROM coding_jobs")
    for job in jobs:
        ran = runs.pop(str(job["id"]), 0)
        ended = fleet.rows.value(
            "SELECT count(*) FROM job_attempts WHERE job_id = %s AND outcome = 'completed'", [job["id"]]
        )
        tally.note("a real job in between", accepted=True)
        if (job["status"], job["retry_count"], ran, ended) != ("completed", 0, 1, 1):
            tally.violate(
                "a real job in between", f"{job['status']}, {job['retry_count']} retries, {ran} runs, {ended} ends"
            )
    if runs:
        tally.violate("actor", f"it ran for what is no job: {list(runs)[:3]}")
    if (workers := fleet.rows.all("SELECT stop_reason FROM workers")) != [{"stop_reason": None}]:
        tally.violate("worker", f"it did not stay who it was: {workers}")


def _check_junk(fleet: Fleet, tally: Tally) -> None:
    """What is no message is among the dead letters, as it came; nothing else is, and nothing is left over."""
    dead: Any = fleet.client.hgetall(DEAD)
    for name, junk in fleet.junk.items():
        if junk.fate is Fate.ASIDE and dead.get(name) != junk.data:
            tally.violate(junk.kind, f"not put aside: {name[:80]!r} {(junk.data or b'')[:300]!r}")
        if junk.fate is Fate.DROPPED and name in dead:
            tally.violate(junk.kind, f"put aside: {name[:80]!r} {(junk.data or b'')[:300]!r}")
    if strange := dead.keys() - fleet.junk.keys():
        tally.violate("dead letters", f"they hold what a bridge wrote: {list(strange)[:3]}")
    left: Any = [*fleet.client.keys(f"{NAMESPACE}:__acks__*{QUEUE}"), *fleet.client.hkeys(PAYLOADS)]
    if left:
        tally.violate("Redis", f"{len(left)} keys and payloads are left over: {left[:3]}")


def _check_lines(fleet: Fleet, tally: Tally) -> None:
    """Every line of a log is one JSON object, none of an error, and each message put aside is named with its reason."""
    told = set()
    for line in [*fleet.worker.output.splitlines(), *fleet.bridge.output.splitlines()]:
        try:
            said = json.loads(line)
            if said["level"] >= 50:
                tally.violate("log", line[:300])
        except (ValueError, TypeError, KeyError):
            tally.violate("log", f"no JSON object: {line[:300]!r}")
            continue
        if said["msg"] == "Message refused" and said["reason"]:
            told.add(said["messageId"])
    for name, junk in fleet.junk.items():
        if junk.fate is Fate.ASIDE and name.decode("utf-8", "replace")[:80] not in told:
            tally.violate(junk.kind, f"not told: {name[:80]!r}")
