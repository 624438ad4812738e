"""A bridge and a worker inside the test's own process, over real stores."""

import asyncio
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from uuid import UUID

import dramatiq
from dramatiq import Worker
from dramatiq.middleware import Interrupt, TimeLimit

from bridge import Fail, Job, Retry, actor, current_job
from bridge.broker import FleetBroker, connect_broker
from bridge.dispatch.process import BridgeProcess
from bridge.settings import Settings
from bridge.worker.middleware import JobMiddleware
from bridge.worker.process import WorkerProcess
from tests.support.rows import Rows
from tests.support.waiting import eventually


class ActorLog:
    """A record of what actors did, and gates at which tests can stop actors."""

    def __init__(self) -> None:
        self.started: list[tuple[UUID, int]] = []
        self.interrupted: list[str] = []
        self.naps: list[tuple[UUID, float, float]] = []
        self.plain: list[tuple[Any, ...]] = []
        self.gates: defaultdict[str, threading.Event] = defaultdict(threading.Event)

    def begin(self, job: Job) -> None:
        self.started.append((job.id, job.fence))

    def starts(self, job_id: UUID) -> int:
        return sum(1 for started, _ in self.started if started == job_id)

    def hold(self, gate: str, seconds: float = 30) -> None:
        """Wait at a gate in a way that interrupts can reach."""
        deadline = time.monotonic() + seconds
        while not self.gates[gate].wait(0.02):
            assert time.monotonic() < deadline, f"nobody opened the gate {gate}"


def declare_actors(actor_log: ActorLog) -> None:  # noqa: C901, PLR0915 -- a list of small actors
    """The actors of the tests, on Dramatiq's current broker."""

    @actor(queue_name="tests")
    def double(job: Job) -> dict[str, int]:
        actor_log.begin(job)
        return {"twice": job.payload["n"] * 2}

    @actor(queue_name="tests")
    async def double_later(job: Job) -> dict[str, Any]:
        actor_log.begin(job)
        await asyncio.sleep(0.01)
        return {"twice": job.payload["n"] * 2, "current": str(current_job().id)}

    @actor(queue_name="tests", max_retries=2)
    def explode(job: Job) -> None:
        actor_log.begin(job)
        raise ValueError(f"attempt {job.attempt}")

    @actor(queue_name="tests")
    def give_up(job: Job) -> None:
        raise Fail("there is no point")

    @actor(queue_name="tests")
    def try_later(job: Job) -> None:
        raise Retry("not yet", delay=3600)

    @actor(queue_name="tests")
    def no_json(job: Job) -> Any:
        return {"x": object()}

    @actor(queue_name="tests")
    def narrate(job: Job) -> None:
        for n in range(job.payload["n"]):
            job.emit("thinking", {"n": n})

    @actor(queue_name="tests")
    def wait_at_gate(job: Job) -> dict[str, int]:
        actor_log.begin(job)
        try:
            actor_log.hold(job.payload.get("gate", "gate"))
        except Interrupt as error:
            actor_log.interrupted.append(type(error).__name__)
            raise
        return {"fence": job.fence}

    @actor(queue_name="tests")
    def call_another(job: Job) -> None:
        double(job)
        actor_log.begin(job)
        actor_log.hold("never")

    @actor(queue_name="tests")
    def poll_politely(job: Job) -> None:
        """Work in another thread, which interrupts do not reach, and poll `job.cancelled`."""
        actor_log.begin(job)

        def work() -> None:
            while not job.cancelled:
                time.sleep(0.01)
            actor_log.interrupted.append("politely")

        worker = threading.Thread(target=work)
        worker.start()
        try:
            while worker.is_alive():
                time.sleep(0.01)
        finally:
            worker.join(10)

    @actor(queue_name="tests")
    def nap(job: Job) -> None:
        actor_log.begin(job)
        began = time.monotonic()
        time.sleep(job.payload["seconds"])
        actor_log.naps.append((job.id, began, time.monotonic()))

    @actor(queue_name="tests", time_limit=200)
    def too_slow(job: Job) -> None:
        actor_log.begin(job)
        actor_log.hold("never")

    @actor(queue_name="tests")
    async def wait_forever(job: Job) -> None:
        actor_log.begin(job)
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            actor_log.interrupted.append("CancelledError")
            raise

    @dramatiq.actor(max_retries=5, min_backoff=100, throws=KeyError)
    def plain(*args: Any, **kwargs: Any) -> int:
        actor_log.plain.append((args, kwargs))
        if kwargs.get("missing"):
            raise KeyError("missing")
        return len(args)


class Fleet:
    """A bridge and workers. Tests start them one by one; `stop` ends all of them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.actor_log = ActorLog()
        self.broker: FleetBroker = connect_broker(settings)
        declare_actors(self.actor_log)
        self.bridge: BridgeProcess | None = None
        self.workers: list[Worker] = []

    def start(self) -> "Fleet":
        self.start_worker()
        self.start_bridge()
        return self

    def start_bridge(self) -> BridgeProcess:
        self.bridge = BridgeProcess(self.settings)
        self.bridge.start()
        return self.bridge

    def start_worker(self, threads: int = 4) -> Worker:
        for middleware in self.broker.middleware:
            if isinstance(middleware, TimeLimit):
                manager: Any = middleware.manager
                manager.interval = 0.05
                if not manager.is_alive():
                    manager.start()
        worker = Worker(self.broker, worker_threads=threads)
        worker.start()
        self.workers.append(worker)
        return worker

    def stop(self) -> None:
        """Stop everything, even if something fails: a worker left behind would keep the namespace of the next test."""
        for gate in self.actor_log.gates.values():
            gate.set()
        bridge, self.bridge = self.bridge, None
        workers, self.workers = self.workers, []
        with ExitStack() as stack:
            if bridge is not None:
                stack.callback(_stop_bridge, bridge)
            stack.callback(self.broker.close)
            for worker in workers:
                stack.callback(_stop_worker, worker)


def _stop_bridge(bridge: BridgeProcess) -> None:
    assert bridge.stop(10)


def _stop_worker(worker: Worker) -> None:
    worker.stop(5000)
    assert not any(thread.is_alive() for thread in worker.consumers.values()), "it goes on asking Redis"


Add = Callable[..., UUID]
NewFleet = Callable[..., Fleet]


def finished(rows: Rows, *job_ids: UUID, seconds: float = 15) -> dict[str, Any]:
    """Wait until the jobs have ended. Returns the row of the last one."""
    eventually(
        lambda: all(rows.status(job_id) in ("completed", "failed", "cancelled") for job_id in job_ids),
        seconds=seconds,
        what="the end of the jobs",
    )
    return rows.job(job_ids[-1])


def process_of(fleet: Fleet) -> WorkerProcess:
    (job_middleware,) = [one for one in fleet.broker.middleware if isinstance(one, JobMiddleware)]
    return job_middleware.process


class AtTheEnd(logging.Filter):
    """Calls a function in the actor's thread while Dramatiq handles the actor's exception."""

    def __init__(self, do: Callable[[], None]) -> None:
        super().__init__()
        self._do = do

    def filter(self, record: logging.LogRecord) -> bool:
        if "unhandled exception" in str(record.msg):
            self._do()
        return True

    def __enter__(self) -> None:
        logging.getLogger("dramatiq.worker.WorkerThread").addFilter(self)

    def __exit__(self, *_: object) -> None:
        logging.getLogger("dramatiq.worker.WorkerThread").removeFilter(self)
