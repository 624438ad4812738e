"""Priority: urgent jobs are inserted while a backlog of low ones runs. How many low ones still start before each?

Only jobs that were already handed over when an urgent one was committed may overtake it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from bench.contestants import CONTESTANTS
from bench.fleet import Fleet, open_fleet
from bench.run import Run

BACKLOG = 10_000
_MOMENTS = 8


@dataclass(frozen=True)
class Urgent:
    """One urgent job: how many low jobs began between its commit and its beginning. Of these, those that were
    claimed after its commit, by when: before it, together with it, or later. Milliseconds until it began.
    """

    overtaken: int
    claimed_before: int
    claimed_together: int
    claimed_later: int
    milliseconds: float

    @property
    def unclaimed(self) -> int:
        """Low jobs that began first though they were not handed over when the urgent job was committed."""
        return self.claimed_before + self.claimed_together + self.claimed_later


def measure(run: Run) -> list[Urgent]:
    found: list[Urgent] = []
    for number in range(1, run.plan.priority_rounds + 1):
        with run.part(f"priority, round {number}"), open_fleet(CONTESTANTS["bridge"], run.stores, run.work) as fleet:
            found += _one_backlog(fleet)
    return found


def _one_backlog(fleet: Fleet) -> list[Urgent]:
    fleet.client("fill", str(BACKLOG))
    fleet.start()
    committed: dict[int, float] = {}
    for number in range(1, _MOMENTS + 1):
        enough = number * BACKLOG // (_MOMENTS + 1)
        fleet.wait("a part of the backlog", partial(_has_done, fleet, enough), 120, poll=0.001)
        committed[BACKLOG + number] = _insert_urgent(fleet, BACKLOG + number)
    fleet.wait("the last job", lambda: fleet.done() >= BACKLOG + _MOMENTS, 120)
    fleet.wait("the last report", lambda: fleet.unfinished() == 0, 60)
    began = dict(fleet.reader.read())
    claimed = {
        int(key): float(when)
        for key, when in fleet.connection.execute(
            "SELECT payload ->> 'key', extract(epoch FROM claimed_at) FROM coding_jobs"
        )
    }
    return [overtaken(key, when, began, claimed) for key, when in committed.items()]


def _has_done(fleet: Fleet, enough: int) -> bool:
    return fleet.done() >= enough


def _insert_urgent(fleet: Fleet, key: int) -> float:
    """Insert and commit. Returns the time after that by the database's clock, in epoch seconds."""
    fleet.connection.execute(
        """INSERT INTO coding_jobs (actor, queue, priority, payload)
           VALUES ('noop', 'bench', 10, jsonb_build_object('key', %s::integer))""",
        [key],
    )
    row = fleet.connection.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()
    assert row is not None
    return float(row[0])


def overtaken(urgent: int, committed: float, began: Mapping[int, float], claimed: Mapping[int, float]) -> Urgent:
    """Which low jobs overtook `urgent`, from when each job began and was claimed. Keys below BACKLOG are low jobs."""
    ahead = [key for key, when in began.items() if key < BACKLOG and committed < when < began[urgent]]
    unclaimed = [claimed[key] for key in ahead if claimed[key] > committed]
    return Urgent(
        len(ahead),
        claimed_before=sum(when < claimed[urgent] for when in unclaimed),
        claimed_together=sum(when == claimed[urgent] for when in unclaimed),
        claimed_later=sum(when > claimed[urgent] for when in unclaimed),
        milliseconds=1000 * (began[urgent] - committed),
    )
