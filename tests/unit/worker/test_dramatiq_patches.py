"""Notices, before production does, when a new Dramatiq changes code that we replace or rely on."""

import hashlib
import importlib
import inspect
import logging
import pkgutil
import re
from collections.abc import Iterator
from importlib.metadata import version
from operator import attrgetter
from typing import Any

import pytest
from dramatiq import Broker, Middleware
from dramatiq.broker import MessageProxy
from dramatiq.brokers.redis import RedisBroker

import bridge
from bridge.worker import dramatiq_patches
from bridge.worker.dramatiq_patches import _is_not_about_an_outcome

# Of Dramatiq 2.2.1. Comments, blank lines and indentation of the source are ignored.
FINGERPRINTS = {
    "dramatiq.worker.Worker.__init__": "5f30f59e3ac0a233",
    "dramatiq.worker.ConsumerThread.handle_delayed_messages": "c755911a9866c98b",
    "dramatiq.worker.WorkerThread.process_message": "751fdfd67b0e258b",
    "dramatiq.compat.StreamablePipe": "1b0db6f6a2b63c22",
    "dramatiq.broker.Broker.emit_before": "6153a5c27e89972b",
    "dramatiq.broker.Broker.emit_after": "cb2ae2753fa47386",
    "dramatiq.broker.Broker.add_middleware": "0d1ac86bf8f42eaf",
    "dramatiq.broker.Broker.close": "749d279ac5ffceef",
    "dramatiq.brokers.redis.RedisBroker.__init__": "abfdf5f73022ee4a",
    "dramatiq.brokers.redis.RedisBroker.declare_queue": "a43771861c0be184",
    "dramatiq.brokers.redis.RedisBroker.enqueue": "74e59d92310b09ea",
    "dramatiq.brokers.redis.RedisBroker.flush": "3479d5bcce4d05c2",
    "dramatiq.brokers.redis.RedisBroker.__getattr__": "12ad0c55388e572d",
    "dramatiq.brokers.redis.RedisBroker.consumer_class": "c57f047cba6aea29",
    "dramatiq.brokers.redis._RedisConsumer": "2f802bd9ed1c85db",
    "dramatiq.broker.Consumer.__next__": "fec6119998f63e28",
    "dramatiq.broker.Consumer.ack": "a4baba5fedaa54ab",
    "dramatiq.broker.Consumer.nack": "6bf97eb631482a24",
    "dramatiq.broker.Consumer.requeue": "ec715daf3b16111f",
    "dramatiq.broker.Consumer.close": "f89845d934e22c93",
    "dramatiq.broker.MessageProxy": "36b39d6215da2e76",
    "dramatiq.asyncio.EventLoopThread": "3725ab98e80396f8",
    "dramatiq.middleware.asyncio.AsyncIO": "21a3e8362f8668bd",
    "dramatiq.middleware.callbacks.Callbacks": "bf04ac44e61431fd",
    "dramatiq.middleware.pipelines.Pipelines": "c953c4e979d364a7",
    "dramatiq.middleware.retries.Retries": "d256cc042080ac7d",
    "dramatiq.actor.Actor.__call__": "5f5a45d0f611752a",
    "dramatiq.brokers.redis.RedisBroker.consume": "4802edc7cc226a69",
    "dramatiq.worker.ConsumerThread.run": "29c897a7d633c012",
    "dramatiq.worker.ConsumerThread.handle_message": "4ff6f08f60a20373",
    "dramatiq.worker.ConsumerThread.pause": "d8ff957703e1ed07",
    "dramatiq.worker.ConsumerThread.resume": "ef0449634f37ba91",
    "dramatiq.worker.ConsumerThread.post_process_message": "f34d69d6c0504540",
    "dramatiq.worker.ConsumerThread.close": "d13ece3176fe7bba",
    "dramatiq.worker.WorkerThread.run": "83c093533844a64b",
    "dramatiq.worker.Worker.join": "2f6cc429bbbc6e08",
    "dramatiq.common.iter_queue": "7f6e0550d738d4b0",
    "dramatiq.worker.Worker.stop": "e8cbf2a9643e0fb4",
    "dramatiq.cli.worker_process": "9520b62378184e62",
    "dramatiq.cli.RET_IMPORT": "d4735e3a265e16ee",
    "dramatiq.broker.get_broker": "e9af4fe2df935b72",
    "dramatiq.broker.set_broker": "88b5efd2fdce93c6",
    "dramatiq.asyncio.get_event_loop_thread": "64d03690face36c4",
    "dramatiq.asyncio.set_event_loop_thread": "4ee0502f144bbc30",
    "dramatiq.middleware.time_limit.TimeLimit": "3660dad21ca97d92",
    "dramatiq.threading.raise_thread_exception": "ccb28deb875b4157",
    "dramatiq.common.compute_backoff": "fcbc2e380ebf4b5c",
}


def of_dramatiq(name: str) -> Any:
    """The object that a dotted name means. The module is the longest part of the name that can be imported."""
    module, _, rest = name.rpartition(".")
    while True:
        try:
            return attrgetter(rest)(importlib.import_module(module))
        except ModuleNotFoundError:
            module, _, part = module.rpartition(".")
            rest = f"{part}.{rest}"


def fingerprint(name: str) -> str:
    place = of_dramatiq(name)
    source = str(place) if isinstance(place, int) else inspect.getsource(getattr(place, "fget", place))
    lines = (line.strip() for line in source.splitlines())
    text = "\n".join(line for line in lines if line and not line.startswith("#"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", FINGERPRINTS)
def test_dramatiq_is_what_our_patches_were_written_for(name: str) -> None:
    assert fingerprint(name) == FINGERPRINTS[name], (
        f"Dramatiq {version('dramatiq')} has other code in {name}. Read what bridge/worker/dramatiq_patches.py says "
        "of it, compare the two, run `make check-dramatiq`, and then note the new fingerprint here"
    )


def test_each_place_in_dramatiq_that_the_list_names_is_compared() -> None:
    listed = set(re.findall(r"`(dramatiq\.[\w.]+)`", dramatiq_patches.__doc__ or ""))

    assert listed == set(FINGERPRINTS)


def classes_of_ours() -> Iterator[type]:
    for module in pkgutil.walk_packages(bridge.__path__, "bridge."):
        if not module.name.endswith("__main__"):
            for one in vars(importlib.import_module(module.name)).values():
                if inspect.isclass(one) and one.__module__ == module.name:
                    yield one


def overridden(ours: type) -> Iterator[tuple[str, str]]:
    """What a class replaces of Dramatiq's: the class that has it there, and the whole name."""
    for name in vars(ours).keys() - {"__module__", "__doc__", "__dict__", "__weakref__"}:
        for base in ours.__mro__[1:]:
            if base.__module__.startswith("dramatiq.") and name in vars(base):
                place = f"{base.__module__}.{base.__qualname__}"
                yield place, f"{place}.{name}"
                break


def not_listed(ours: type) -> set[str]:
    """A class of Dramatiq's may be listed as a whole."""
    if issubclass(ours, Exception):
        return set()
    found = {name for place, name in overridden(ours) if not {place, name} & FINGERPRINTS.keys()}
    hooks = {f"{Middleware.__module__}.Middleware.{name}" for name in vars(Middleware)}
    return found - hooks


def test_each_override_of_ours_is_listed() -> None:
    assert {one.__name__: missing for one in classes_of_ours() if (missing := not_listed(one))} == {}


def test_an_override_that_is_not_listed_is_found() -> None:
    class Ours(RedisBroker):
        def flush(self, queue_name: str) -> None: ...
        def join(self, queue_name: str, **more: Any) -> None: ...

    class Hooks(Middleware):
        def before_ack(self, broker: Broker, message: MessageProxy) -> None: ...

    assert not_listed(Ours) == {"dramatiq.brokers.redis.RedisBroker.join"}
    assert not_listed(Hooks) == set()


@pytest.mark.parametrize(
    ("line", "is_kept"),
    [
        ("Failed to process message %s with unhandled exception.", False),
        ("Message %s was skipped.", False),
        ("Actor x returned a value that is not None", False),
        ("Worker process is ready for action.", True),
    ],
)
def test_dramatiqs_lines_about_outcomes_are_kept_out(line: str, is_kept: bool) -> None:
    assert _is_not_about_an_outcome(logging.makeLogRecord({"msg": line})) is is_kept
