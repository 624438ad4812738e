"""How a worker process handles messages: decodes them, starts a whole fetch at once, or hands jobs back."""

import logging
import os
import threading
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

from dramatiq import Broker

from bridge.errors import BadMessageError
from bridge.job import Released
from bridge.postgres.attempts import AttemptKey
from bridge.runtime.kill_points import kill_point
from bridge.transport.intake import JobMessage
from bridge.transport.messages import is_isolated, unseal
from bridge.worker.ending import Ending
from bridge.worker.process import WorkerProcess
from bridge.worker.runs import WorkerMessage

logger = logging.getLogger(__name__)

# The job comes back to the same queue, where a worker that knows its actor must take it first. With no delay, bridge
# and worker would send it back and forth.
_UNKNOWN_ACTOR_DELAY = timedelta(seconds=5)


class _UnknownActorError(BadMessageError):
    """The message is valid, but this worker does not know its actor."""

    def __init__(self, actor: str, queue: str, jobs: list[tuple[UUID, int]]) -> None:
        super().__init__("unknown_actor", actor[:80])
        self.actor, self.queue = actor[:80], queue
        self.jobs = jobs


class WorkerIntake:
    """Takes messages from the transport: `Intake` describes the methods."""

    takes_any = False

    def __init__(self, broker: Broker, process: WorkerProcess) -> None:
        self._broker = broker
        self._process = process
        self._lock = threading.Lock()  # one consumer at a time decides what is started
        self._quarantine = process.quarantine

    def open(self, data: bytes, queue_name: str, redis_id: str) -> list[WorkerMessage]:
        actor, jobs = unseal(data, queue_name, redis_id)
        if actor not in self._broker.actors:
            raise _UnknownActorError(actor, queue_name, jobs)
        randomness = os.urandom(16 * len(jobs))  # in one call, because each call lets other threads run
        messages = []
        for n, (job_id, fence) in enumerate(jobs):
            key = AttemptKey(job_id, fence, UUID(int=int.from_bytes(randomness[16 * n : 16 * n + 16])))
            # The sender of the job knows it by the job's id.
            created_ms = partial(self._process.created_ms, job_id)
            opened: WorkerMessage = JobMessage(queue_name, actor, str(job_id), redis_id, key, (), created_ms)
            messages.append(opened)
        return messages

    def start(self, messages: Sequence[WorkerMessage]) -> tuple[list[WorkerMessage], list[WorkerMessage]]:
        kill_point("deliver.received")
        with self._lock:
            now, waiting, back = self._quarantine.sort(messages)
            self.returned(back)
            ours, again = self._start(now) if now else ([], [])
            if now and is_isolated(now[0].redis_id) and not again:
                self._quarantine.began(now[0], ours[0].run if ours else None)
        return ours, again + waiting

    def _start(self, messages: Sequence[WorkerMessage]) -> tuple[list[WorkerMessage], list[WorkerMessage]]:
        runs, later = self._process.start([message.key for message in messages])
        kill_point("start.committed")
        ours, again = [], []
        for message in messages:
            run = runs.get(message.key.exec)
            if run is not None and run.attempt.actor == message.actor_name:
                message.run = run
                run.job_text = message.message_id
                message.urgency = run.attempt.priority
                ours.append(message)
            elif run is not None:  # a real hand-over with a forged actor name
                self._process.end(run, Ending(run.key, Released(), run))
            elif message.key in later:
                again.append(message)
            else:
                logger.info(
                    "Message skipped: its attempt is over or not ours",
                    extra={"jobId": str(message.key.job_id), "fence": message.key.fence},
                )
        return ours, again

    def urgent(self, priority: int, jobs: int, *, hold: bool) -> None:
        precedence = self._process.runs.precedence
        if jobs > 0:
            precedence.expect(priority, jobs, hold=hold)
        else:
            precedence.began(priority)

    def rejected(self, error: BadMessageError, data: bytes) -> None:  # noqa: ARG002 -- the protocol's signature
        if not isinstance(error, _UnknownActorError):
            return  # its jobs cannot be trusted; a real one is handed over again when its claim's lease is over
        logger.warning(
            "A job came to a worker that does not know its actor, and was handed back: workers with different actors "
            "listen to this queue",
            extra={"queue": error.queue, "actor": error.actor},
        )
        for job_id, fence in error.jobs:
            self._process.reports.submit(Ending(AttemptKey(job_id, fence, None), Released(_UNKNOWN_ACTOR_DELAY)))

    def returned(self, messages: Sequence[WorkerMessage]) -> Sequence[WorkerMessage]:
        """Release jobs that were taken and will not run. Nothing needs to stay in Redis."""
        for message in messages:
            # It is unknown whether it was started, because an answer may have been lost. Each of the two reports
            # changes a row only in its own case.
            self._process.reports.submit(Ending(message.key, Released(), message.run))
            if message.run is None:
                self._process.reports.submit(
                    Ending(AttemptKey(message.key.job_id, message.key.fence, None), Released())
                )
        return []
