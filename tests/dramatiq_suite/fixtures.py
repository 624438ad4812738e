"""The fixtures of Dramatiq's tests, over real stores, with our broker instead of theirs."""

import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import dramatiq
import pytest
from dramatiq import QueueJoinTimeout, QueueNotFound, Worker
from dramatiq.broker import MessageProxy
from dramatiq.encoder import PickleEncoder
from dramatiq.middleware import Middleware, TimeLimit
from dramatiq.rate_limits import backends as limit_backends
from dramatiq.results import backends as result_backends

from bridge.broker import FleetBroker, connect_broker
from bridge.dispatch.process import BridgeProcess
from bridge.settings import Settings
from tests.support.rows import Rows

# Their joins wait for ever, or as long as a test says. A join that hangs here must end soon.
JOIN_SECONDS = 10.0
_OPEN = "SELECT count(*) FROM coding_jobs WHERE queue = %s AND status IN ('pending', 'processing')"


class _Failures(Middleware):
    """Keeps what Dramatiq's stub broker keeps: the failed messages of each queue, and why they failed."""

    def __init__(self) -> None:
        # Not the exception itself: one test checks that it is not kept alive.
        self.seen: dict[str, tuple[MessageProxy, Callable[[], BaseException]]] = {}

    def after_process_message(
        self, broker: Any, message: MessageProxy, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        if exception is not None:
            self.seen[message.message_id] = message, partial(type(exception), *exception.args)

    def after_skip_message(self, broker: Any, message: MessageProxy) -> None:
        _, reason = getattr(message, "skipped", ("", None))
        if reason is not None and message.failed:
            why: type[BaseException] = type(reason)
            self.seen[message.message_id] = message, partial(why, *reason.args)


class SuiteBroker(FleetBroker):
    """Our broker, with the `join` and `dead_letters` that Dramatiq's tests use."""

    rows: Rows
    failures: _Failures

    def join(self, queue_name: str, *, interval: int = 100, timeout: int | None = None, fail_fast: bool = True) -> None:
        if queue_name not in self.queues:
            raise QueueNotFound(queue_name)
        deadline = time.monotonic() + (JOIN_SECONDS if timeout is None else timeout / 1000)
        while self.rows.value(_OPEN, [queue_name]):
            if time.monotonic() > deadline:
                raise QueueJoinTimeout(queue_name)
            time.sleep(0.01)
        if fail_fast:
            for _, exception in self._dead():
                raise exception()

    @property
    def dead_letters(self) -> list[MessageProxy]:
        return [message for message, _ in self._dead()]

    def _dead(self) -> list[tuple[MessageProxy, Callable[[], BaseException]]]:
        failed = self.rows.all("SELECT id FROM coding_jobs WHERE status IN ('failed', 'cancelled')")
        return [self.failures.seen[str(row["id"])] for row in failed if str(row["id"]) in self.failures.seen]


@pytest.fixture
def stub_broker(settings: Settings, rows: Rows) -> Iterator[SuiteBroker]:
    logging.getLogger("bridge").setLevel(logging.CRITICAL)
    broker: Any = connect_broker(settings)
    broker.__class__ = SuiteBroker
    broker.rows, broker.failures = rows, _Failures()
    broker.add_middleware(broker.failures)
    for middleware in broker.middleware:
        if isinstance(middleware, TimeLimit):
            middleware.manager.interval = 0.05  # type: ignore[union-attr]
            middleware.manager.start()
    bridge = BridgeProcess(settings)
    bridge.start()
    yield broker
    broker.close()
    bridge.stop(10)


@pytest.fixture
def stub_worker(stub_broker: SuiteBroker) -> Iterator[Worker]:
    worker = Worker(stub_broker, worker_timeout=100, worker_threads=32)
    worker.start()
    joined: Callable[..., None] = lambda **_: None  # noqa: E731 -- `join` of the broker has seen the rows
    vars(worker)["join"] = joined
    yield worker
    worker.stop(5000)


@pytest.fixture
def redis_broker(stub_broker: SuiteBroker) -> SuiteBroker:
    return stub_broker


@pytest.fixture
def redis_worker(stub_worker: Worker) -> Worker:
    return stub_worker


@pytest.fixture(params=["redis", "stub"])
def result_backend(request: pytest.FixtureRequest, redis_url: str) -> Any:
    return {
        "redis": lambda: result_backends.RedisBackend(url=redis_url),
        "stub": result_backends.StubBackend,
    }[request.param]()


@pytest.fixture
def redis_result_backend(redis_url: str) -> Any:
    return result_backends.RedisBackend(url=redis_url)


@pytest.fixture(params=["redis", "stub"])
def rate_limiter_backend(request: pytest.FixtureRequest, redis_url: str) -> Any:
    return {
        "redis": lambda: limit_backends.RedisBackend(url=redis_url),  # type: ignore[no-untyped-call]
        "stub": limit_backends.StubBackend,
    }[request.param]()


@pytest.fixture
def pickle_encoder() -> Iterator[None]:
    before = dramatiq.get_encoder()
    dramatiq.set_encoder(PickleEncoder())
    yield
    dramatiq.set_encoder(before)
