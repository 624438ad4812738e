"""What a worker process does before its first job, and how it ends while jobs still run. JobMiddleware says when."""

import os

from dramatiq import Worker
from dramatiq.common import iter_queue

from bridge.logs.formats import write_last_lines
from bridge.settings import Settings
from bridge.transport.job_broker import JobBroker
from bridge.transport.slots import Slots
from bridge.worker.abilities import abilities_of
from bridge.worker.intake import WorkerIntake
from bridge.worker.process import WorkerProcess


def build_process(settings: Settings, broker: JobBroker, worker: Worker) -> WorkerProcess:
    """The process, not open yet, and the broker's intake and slots, which lead to it."""
    process = WorkerProcess(
        settings,
        abilities_of(broker, worker),
        broker.announce_freed,
        on_isolated_over=broker.start_again,
        on_announced=lambda: broker.announce_freed({}),
        threads=lambda: [*worker.workers, *worker.consumers.values()],
        end=lambda process: leave_now(process, broker, worker, exit_code=1),
    )
    slots = Slots(worker.worker_threads, is_isolating=process.quarantine.is_isolating)
    broker.take_jobs(WorkerIntake(broker, process), slots)
    return process


def leave_now(process: WorkerProcess, broker: JobBroker, worker: Worker, *, exit_code: int = 0) -> None:
    """Hand everything back and end the process, while a thread is in code that no exception reaches."""
    try:
        for consumer in worker.consumers.values():
            if consumer.consumer is not None:
                consumer.consumer.close()
        broker.intake.returned([item.message for item in iter_queue(worker.work_queue)])
        process.close()
    finally:
        write_last_lines()
        os._exit(exit_code)
