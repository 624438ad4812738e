"""Clients that insert jobs all the time, and what became of each job."""

import json
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Self
from uuid import UUID

import psycopg

from tests.support.waiting import eventually

_SETTLE_SECONDS = 60
_LONG_EVERY, _FAILS_EVERY = 10, 15
_LONG_SECONDS, _SHORT_SECONDS = 0.5, 0.01


@dataclass(frozen=True)
class Verdict:
    """`late` are the seconds from a job's commit to its first start."""

    jobs: int
    lost: int
    """Not completed."""
    doubled: int
    """Started or ended twice in one attempt. After a crash the next attempt runs what its report had not yet told."""
    late: list[float]

    @property
    def p99(self) -> float:
        return quantiles(self.late, n=100)[98]


class Load:
    """`with Load(…) as load`: inserts `rate` jobs a second with plain SQL, until the block ends."""

    def __init__(self, dsn: str, rate: float, runs: Path) -> None:
        self._dsn, self._rate, self._runs = dsn, rate, runs
        self._inserted: dict[UUID, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._insert, name="load")
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def wait_for_jobs(self, more: int) -> None:
        """Until so many more jobs have ended: what runs now has done work."""
        goal = self._ended() + more
        eventually(lambda: self._ended() >= goal, seconds=_SETTLE_SECONDS, what=f"{more} more jobs")

    def verdict(self) -> Verdict:
        """After the block: waits until all jobs are over. Raises what a client met."""
        if self._failure is not None:
            raise self._failure
        open_jobs = "SELECT count(*) FROM coding_jobs WHERE status IN ('pending', 'processing')"
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            eventually(
                lambda: connection.execute(open_jobs).fetchone() == (0,), seconds=_SETTLE_SECONDS, what="the last jobs"
            )
            completed = {row[0] for row in connection.execute("SELECT id FROM coding_jobs WHERE status = 'completed'")}
        return _verdict(self._inserted, completed, self._runs)

    def _ended(self) -> int:
        return self._runs.read_text().count("end ")

    def _insert(self) -> None:
        try:
            with psycopg.connect(self._dsn, autocommit=True) as connection:
                number = 0
                while not self._over.wait(1 / self._rate):
                    number += 1
                    payload = {
                        "seconds": _LONG_SECONDS if number % _LONG_EVERY == 0 else _SHORT_SECONDS,
                        "fails": number % _FAILS_EVERY == 0,
                    }
                    row = connection.execute(
                        "INSERT INTO coding_jobs (actor, payload) VALUES ('work', %s) RETURNING id",
                        [json.dumps(payload)],
                    ).fetchone()
                    assert row is not None
                    self._inserted[row[0]] = time.time()
        except BaseException as failure:  # noqa: BLE001 -- raised by `verdict`, in the thread that asks
            self._failure = failure


def _verdict(inserted: dict[UUID, float], completed: set[UUID], runs: Path) -> Verdict:
    first_start: dict[UUID, float] = {}
    seen: set[tuple[str, UUID, str]] = set()
    ended: set[UUID] = set()
    doubled = 0
    for line in runs.read_text().splitlines():
        what, job_id, fence, at = line.split()
        job = UUID(job_id)
        doubled += (what, job, fence) in seen
        seen.add((what, job, fence))
        if what == "start":
            first_start.setdefault(job, float(at))
        else:
            ended.add(job)
    late = [first_start[job] - at for job, at in inserted.items() if job in first_start]
    return Verdict(len(inserted), len(inserted.keys() - (completed & ended)), doubled, late)
