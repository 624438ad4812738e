"""Faults of processes: killed, frozen, stopped."""

import os
import random
import signal
from contextlib import suppress
from typing import Any

import psutil

from tests.campaign.evidence import Fault
from tests.campaign.faults.injection import Injection


def send(pid: int, signum: int) -> bool:
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        return False
    return True


class KillWorker(Injection):
    label, weight = "kill -9 of a worker", 7

    def inject(self) -> Fault | None:
        pids = self.world.worker_pids()
        if not pids:
            return None
        fault = self.fault()
        fault.pids = [self.dice.choice(pids)]
        return fault if send(fault.pids[0], signal.SIGKILL) else None


class KillDramatiq(Injection):
    """Kill the parent process of the workers: Dramatiq's, or our supervisor above it."""

    label, weight = "kill -9 of a worker's parent", 2

    def inject(self) -> Fault | None:
        service = self.dice.choice([self.world.supervised, self.world.plain])
        if service.pid is None:
            return None
        with suppress(psutil.NoSuchProcess):
            parents = [service.pid, *(one.pid for one in psutil.Process(service.pid).children() if one.children())]
            fault = self.fault()
            fault.pids = service.workers()
            return fault if send(self.dice.choice(parents), signal.SIGKILL) else None
        return None


class RestartWorkers(Injection):
    label, weight = "SIGTERM of workers", 4

    def inject(self) -> Fault | None:
        service = self.dice.choice([self.world.supervised, self.world.plain])
        if service.pid is None:
            return None
        fault = self.fault()
        fault.pids = service.workers()
        service.send(signal.SIGTERM)
        return fault


class FreezeWorker(Injection):
    label, weight, lane = "SIGSTOP of a worker, short", 4, "frozen worker"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.seconds = self.stretch(self.dice)

    def stretch(self, dice: random.Random) -> float:
        return dice.uniform(0.3, 1.2)

    def inject(self) -> Fault | None:
        pids = self.world.worker_pids()
        if not pids:
            return None
        fault = self.fault()
        fault.pids = [self.dice.choice(pids)]
        return fault if send(fault.pids[0], signal.SIGSTOP) else None

    def heal(self, fault: Fault) -> None:
        send(fault.pids[0], signal.SIGCONT)


class FreezeWorkerPastItsLease(FreezeWorker):
    label, weight = "SIGSTOP of a worker, past its lease", 4

    def stretch(self, dice: random.Random) -> float:
        return self.world.size.lease_ms / 1000 + dice.uniform(1.2, 2.5)


class KillBridge(Injection):
    label, weight = "kill -9 of a bridge", 6

    def inject(self) -> Fault | None:
        pids = [bridge.pid for bridge in self.world.bridges if bridge.pid is not None]
        fault = self.fault(stops_claims=True)
        return fault if pids and send(self.dice.choice(pids), signal.SIGKILL) else None


class RestartBridge(Injection):
    label, weight = "SIGTERM of a bridge", 4

    def inject(self) -> Fault | None:
        pids = [bridge.pid for bridge in self.world.bridges if bridge.pid is not None]
        fault = self.fault(stops_claims=True)
        return fault if pids and send(self.dice.choice(pids), signal.SIGTERM) else None


class FreezeBridge(Injection):
    label, weight, lane = "SIGSTOP of a bridge", 4, "frozen bridge"

    def inject(self) -> Fault | None:
        pids = [bridge.pid for bridge in self.world.bridges if bridge.pid is not None]
        if not pids:
            return None
        self._pid = self.dice.choice(pids)
        self.seconds = self.dice.choice((self.dice.uniform(0.3, 1.5), self.world.size.lease_ms / 1000 + 1))
        fault = self.fault(stops_claims=True)
        return fault if send(self._pid, signal.SIGSTOP) else None

    def heal(self, fault: Fault) -> None:
        send(self._pid, signal.SIGCONT)


PROCESSES: list[type[Injection]] = [
    KillWorker, KillDramatiq, RestartWorkers, FreezeWorker, FreezeWorkerPastItsLease, KillBridge, RestartBridge,
    FreezeBridge,
]  # fmt: skip
