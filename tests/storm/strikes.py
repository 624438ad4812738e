"""What happens to workers in a storm. Each strike meets a worker process that has turns."""

import os
import random
import signal
import time
from dataclasses import dataclass, field
from typing import Any

import psutil

from tests.campaign.faults.processes import send
from tests.campaign.services import Service
from tests.campaign.world import children_of
from tests.storm.world import LEASE_SECONDS, World

KILL_POINTS = ("start.committed", "message.stored", "call.started", "call.ran", "call.finished", "turn.ended")
ALIVE_SECONDS = 0.5  # after the kill of a worker, when none of what it started may be alive
_PATIENCE_SECONDS = 20.0  # for a kill point to be passed, and for jobs of a frozen worker to run elsewhere
_RUNNING = """
    SELECT w.name, array_agg(j.id) AS jobs, array_agg(j.fence) AS fences
    FROM coding_jobs j JOIN workers w ON w.id = j.worker
    WHERE j.status = 'processing' AND j.exec IS NOT NULL GROUP BY w.name"""
_TAKEN_OVER = """
    SELECT count(*) AS jobs FROM unnest(%s::uuid[], %s::bigint[]) AS o (id, fence) JOIN coding_jobs j ON j.id = o.id
    WHERE j.fence > o.fence AND (j.status = 'processing' AND j.exec IS NOT NULL OR j.status = 'completed')"""


@dataclass
class Frozen:
    pid: int
    since: float
    jobs: list[Any]
    fences: list[int]


@dataclass
class Strikes:
    """Call `tick` often. `kills` and `zombies` are what has happened: a zombie is one whose jobs ran elsewhere."""

    world: World
    dice: random.Random
    kills: int = 0
    kills_at_points: dict[str, int] = field(default_factory=dict)
    zombies: int = 0
    alive_afterwards: list[str] = field(default_factory=list)
    _frozen: list[Frozen] = field(default_factory=list)
    _dying: list[tuple[float, list[psutil.Process]]] = field(default_factory=list)
    _armed: dict[str, tuple[Service, str, int, float]] = field(default_factory=dict)

    @property
    def is_quiet(self) -> bool:
        return not (self._frozen or self._dying or self._armed)

    @property
    def frozen(self) -> int:
        return len(self._frozen)

    def tick(self) -> None:
        for frozen in [*self._frozen]:
            self._continue_if_taken_over(frozen)
        now = time.monotonic()
        due = [one for one in self._dying if one[0] <= now]
        self._dying = [one for one in self._dying if one[0] > now]
        for _, family in due:
            self.alive_afterwards += [_described(one) for one in family if _lives(one)]
        for armed in [*self._armed.values()]:
            self._note_if_dead(*armed)

    def kill(self) -> None:
        """Kill a worker process that has turns, if there is one."""
        if (victim := self._victim()) is None:
            return
        family = children_of(victim.pid)
        if send(victim.pid, signal.SIGKILL):
            self.kills += 1
            self._dying.append((time.monotonic() + ALIVE_SECONDS, family))

    def freeze(self) -> None:
        """Stop a worker process that has turns, until all of them run elsewhere."""
        victim = self._victim()
        if victim is not None and send(victim.pid, signal.SIGSTOP):
            self._frozen.append(victim)

    def arm(self) -> None:
        """Let a worker start anew that dies by itself when it has passed a kill point some times."""
        free = [one for one in self.world.plain if one.name not in self._armed and one.pid is not None]
        if not free:
            return
        service, point = self.dice.choice(free), self.dice.choice(KILL_POINTS)
        passes = self.dice.randint(1, 3 if point in {"turn.ended", "start.committed"} else 8)
        service.start_next_time_with({"MOBVIBE_KILL_POINT": f"{point}:{passes}"})
        self._armed[service.name] = service, point, service.starts, time.monotonic()
        service.send(signal.SIGTERM)

    def continue_all(self) -> None:
        for frozen in self._frozen:
            send(frozen.pid, signal.SIGCONT)
        self._frozen.clear()
        for service, _, starts, _ in self._armed.values():
            service.start_next_time_with({})
            if service.starts > starts:
                service.send(signal.SIGTERM)
        self._armed.clear()

    def _victim(self) -> Frozen | None:
        free = [service.pid for service in self.world.workers if service.name not in self._armed]
        ours = {child.pid for pid in free if pid is not None for child in children_of(pid)}
        ours -= {frozen.pid for frozen in self._frozen}
        found = [
            Frozen(pid, time.monotonic(), row["jobs"], row["fences"])
            for row in self.world.rows(_RUNNING)
            if (pid := int(row["name"].rpartition(":")[2])) in ours
        ]
        return self.dice.choice(found) if found else None

    def _continue_if_taken_over(self, frozen: Frozen) -> None:
        waited = time.monotonic() - frozen.since
        if waited < LEASE_SECONDS:
            return
        taken = self.world.rows(_TAKEN_OVER, [frozen.jobs, frozen.fences])[0]["jobs"]
        if taken == 0 and waited < _PATIENCE_SECONDS:
            return
        self.zombies += taken > 0 and send(frozen.pid, signal.SIGCONT)
        send(frozen.pid, signal.SIGCONT)
        self._frozen.remove(frozen)

    def _note_if_dead(self, service: Service, point: str, starts: int, since: float) -> None:
        if service.starts == starts + 1 and service.pid is None:
            self.kills += 1
            self.kills_at_points[point] = self.kills_at_points.get(point, 0) + 1
            del self._armed[service.name]
        elif time.monotonic() - since > _PATIENCE_SECONDS:
            service.start_next_time_with({})
            service.send(signal.SIGTERM)
            del self._armed[service.name]


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _described(process: psutil.Process) -> str:
    try:
        return f"{process.pid}: {' '.join(process.cmdline())[:200]}"
    except psutil.Error:
        return f"{process.pid}: {os.strerror(3)}"
