"""Builds a worker process, and ends it while jobs still run. JobMiddleware calls both."""

import os
from typing import Any

from dramatiq import Worker
from dramatiq.common import iter_queue

from bridge.logs.formats import write_last_lines
from bridge.settings import Settings
from bridge.transport.job_broker import JobBroker
from bridge.transport.slots import Slots
from bridge.worker.abilities import abilities_of
from bridge.worker.crash_record import CrashRecord
from bridge.worker.intake import WorkerIntake
from bridge.worker.process import WorkerProcess


def build_process(settings: Settings, broker: JobBroker, worker: Worker, record: CrashRecord | None) -> WorkerProcess:
    """Make the process, not yet open, and connect it to the broker's intake and slots."""
    process = WorkerProcess(
        settings,
        abilities_of(broker, worker),
        broker.announce_freed,
        on_isolated_over=broker.start_again,
        on_resumed=lambda: _resume(broker),
        record=record,
        on_announced=lambda: broker.announce_freed({}),
        on_urgent=broker.urgent_began,
        threads=lambda: [*worker.workers, *worker.consumers.values()],
        end=lambda process: leave_now(process, broker, worker, exit_code=1),
    )
    waiting: Any = worker.work_queue  # a WorkQueue, see prepare_worker
    slots = Slots(worker.worker_threads, takes_nothing=process.takes_nothing, least_urgent=waiting.least_urgent)
    waiting.precedence = process.runs.precedence
    broker.take_jobs(WorkerIntake(broker, process), slots)
    return process


def _resume(broker: JobBroker) -> None:
    broker.wake_all()
    broker.announce_freed({})


def leave_now(process: WorkerProcess, broker: JobBroker, worker: Worker, *, exit_code: int = 0) -> None:
    """Hand all jobs back and end the process, although a thread is in code that cannot be interrupted."""
    try:
        for consumer in worker.consumers.values():
            if consumer.consumer is not None:
                consumer.consumer.close()
        broker.intake.returned([item.message for item in iter_queue(worker.work_queue)])
        process.close()
    finally:
        write_last_lines()
        os._exit(exit_code)
