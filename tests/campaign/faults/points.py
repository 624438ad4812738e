"""Deaths at kill points: a process is restarted with one of them configured, and dies when it reaches it."""

import signal
import time
from typing import Any

import psutil

from tests.campaign.evidence import Fault
from tests.campaign.faults.injection import Injection
from tests.campaign.services import Service

_PATIENCE_SECONDS = 15.0
_LOOK_SECONDS = 0.1


class _AtPoint(Injection):
    points: tuple[str, ...]
    passes_most: int

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.point = self.dice.choice(self.points)
        self._starts = 0
        self._looked_at = 0.0
        self._seen: set[int] = set()

    def service(self) -> Service:
        raise NotImplementedError

    def inject(self) -> Fault | None:
        self._service = self.service()
        if self._service.pid is None:
            return None
        self._starts = self._service.starts
        self._service.start_next_time_with(
            {"MOBVIBE_KILL_POINT": f"{self.point}:{self.dice.randint(1, self.passes_most)}"}
        )
        self._service.send(signal.SIGTERM)
        fault = self.fault()
        fault.kind = f"kill point {self.point}"
        fault.note = "not reached"
        return fault

    def is_over(self, fault: Fault) -> bool:
        now = time.monotonic()
        if now - self._looked_at < _LOOK_SECONDS:
            return False
        self._looked_at = now
        if self._service.starts > self._starts and (dead := self.dead()):
            fault.began, fault.note = time.time(), ""
            self.record(fault, dead)
            return True
        return now - self._began > _PATIENCE_SECONDS

    def dead(self) -> list[int]:
        """The processes with a configured kill point that have died."""
        raise NotImplementedError

    def record(self, fault: Fault, dead: list[int]) -> None:
        raise NotImplementedError

    def heal(self, fault: Fault) -> None:
        if fault.note:  # still armed
            self._service.start_next_time_with({})
            if self._service.starts > self._starts:
                self._service.send(signal.SIGKILL)


class KillBridgeAtPoint(_AtPoint):
    label, weight, lane = "kill points of the bridge", 5, "kill point of a bridge"
    points, passes_most = ("claim.committed", "publish.sent"), 10

    def service(self) -> Service:
        return self.dice.choice(self.world.bridges)

    def dead(self) -> list[int]:
        if self._service.pid is not None:
            self._seen = {self._service.pid}
            return []
        return sorted(self._seen) or [0]

    def record(self, fault: Fault, dead: list[int]) -> None:
        fault.next_claim_since = fault.began


class KillWorkerAtPoint(_AtPoint):
    label, weight, lane = "kill points of a worker", 8, "kill point of a worker"
    points = ("deliver.received", "start.committed", "effect.done", "complete.committed")
    passes_most = 30

    def service(self) -> Service:
        return self.world.plain

    def dead(self) -> list[int]:
        self._seen |= set(self._service.workers())
        return sorted(pid for pid in self._seen if not _lives(pid))

    def record(self, fault: Fault, dead: list[int]) -> None:
        fault.pids = dead


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


POINTS: list[type[Injection]] = [KillBridgeAtPoint, KillWorkerAtPoint]
