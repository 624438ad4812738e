"""A real bridge and a real `dramatiq` worker, and a record of the messages that were put on their queue."""

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import redis

from tests.acceptance.processes import BIN, Process
from tests.fuzz.messages import QUEUE, Fate, Junk
from tests.fuzz.tally import Tally
from tests.support.rows import Rows

NAMESPACE = "fuzz"
LIST, PAYLOADS, DEAD_IDS, DEAD = (f"{NAMESPACE}:{QUEUE}{end}" for end in ("", ".msgs", ".XQ", ".XQ.msgs"))
_ROOT = Path(__file__).parents[2]


@dataclass(slots=True)
class Sent:
    """A message that was put on the queue, with a digest that identifies its payload."""

    kind: str
    fate: Fate
    digest: bytes
    put_aside: bool = False


@dataclass
class Fleet:
    bridge: Process
    worker: Process
    client: "redis.Redis"
    rows: Rows
    written: Path
    sent: dict[bytes, Sent] = field(default_factory=dict)

    def family(self) -> set[int]:
        return {child.pid for process in (self.bridge, self.worker) for child in process.descendants()}

    def remember(self, junk: Junk) -> None:
        self.sent[junk.redis_id] = Sent(junk.kind, junk.fate, _digest(junk.data or b""))

    def real_messages(self) -> list[tuple[bytes, bytes]]:
        """Messages of the bridge that wait now."""
        there: Any = self.client.hkeys(PAYLOADS)
        names = [name for name in there if name not in self.sent]
        found: Any = self.client.hmget(PAYLOADS, names) if names else []
        return [(name, data) for name, data in zip(names, found, strict=True) if data is not None]

    def collect(self, tally: Tally) -> None:
        """Remove the dead letters, and check that each is there once and unchanged, and no others are."""
        dead: Any = self.client.hgetall(DEAD)
        for name, data in dead.items():
            sent = self.sent.get(name)
            if sent is None:
                tally.violate("dead letters", f"they hold what a bridge wrote: {name[:80]!r}")
            elif sent.put_aside or sent.fate in (Fate.DROPPED, Fate.LEFT) or _digest(data) != sent.digest:
                tally.violate(sent.kind, f"put aside twice, changed or for nothing: {name[:80]!r} {data[:300]!r}")
            else:
                sent.put_aside = True
        if dead:
            self.client.hdel(DEAD, *dead)
            self.client.zrem(DEAD_IDS, *dead)

    def is_over(self) -> bool:
        """Whether no message of ours and no open job is left."""
        open_jobs = self.rows.value("SELECT count(*) FROM coding_jobs WHERE status IN ('pending', 'processing')")
        return open_jobs == 0 and self.waiting() == 0 and not self.left_payloads()

    def waiting(self) -> int:
        """Messages that the worker has not taken yet."""
        names: Any = self.client.lrange(LIST, 0, -1)
        return sum(1 for name in names if not self.is_anothers(name))

    def left_payloads(self) -> list[bytes]:
        names: Any = self.client.hkeys(PAYLOADS)
        return [name for name in names if not self.is_anothers(name)]

    def is_anothers(self, name: bytes) -> bool:
        return name in self.sent and self.sent[name].fate is Fate.LEFT


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=12).digest()


@contextmanager
def open_fleet(dsn: str, redis_url: str, folder: Path) -> Iterator[Fleet]:
    for name in ("written", "worker.log", "bridge.log"):
        (folder / name).write_bytes(b"")  # of an earlier run
    environment = {
        "DATABASE_URL": dsn, "REDIS_URL": redis_url, "REDIS_NAMESPACE": NAMESPACE, "LOG_FORMAT": "json",
        "FUZZ_FILE": str(folder / "written"), "PYTHONPATH": str(_ROOT),
    }  # fmt: skip
    command = [str(BIN / "dramatiq"), "tests.fuzz.actors", "-p", "1", "-t", "8", "--skip-logging"]
    worker = Process(command, folder, environment, folder / "worker.log")
    bridge = Process([sys.executable, "-m", "bridge", "run"], folder, environment, folder / "bridge.log")
    try:
        worker.wait_for("Worker ready")
        bridge.wait_for("Bridge ready")
        with psycopg.connect(dsn, autocommit=True) as connection, redis.Redis.from_url(redis_url) as client:
            yield Fleet(bridge, worker, client, Rows(connection), folder / "written")
    finally:
        worker.end()
        bridge.end()
