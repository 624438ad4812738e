"""What a worker process announces to the bridges: its slots, queues and actors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dramatiq import Actor, Worker

from bridge.postgres.actor_options import attempts_of
from bridge.transport.job_broker import JobBroker


@dataclass(frozen=True, slots=True)
class WorkerAbilities:
    """How many jobs it runs at once, from which queues, with which actors."""

    slots: int
    queues: Sequence[str]
    actors: Mapping[str, Mapping[str, Any]]


def abilities_of(broker: JobBroker, worker: Worker) -> WorkerAbilities:
    declared = broker.get_declared_queues()
    actors = list(broker.actors.values())  # a copy: another thread may declare one meanwhile
    return WorkerAbilities(
        worker.worker_threads,
        sorted(declared & (worker.consumer_whitelist or declared)),
        {actor.actor_name: _actor_summary(actor) for actor in actors},
    )


def _actor_summary(actor: "Actor[Any, Any]") -> dict[str, Any]:
    return {"queue": actor.queue_name, "max_retries": attempts_of(actor.options)}
