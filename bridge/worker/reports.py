"""What a worker process has to report, in order and many at a time: events first, then endings."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TypeVar
from uuid import UUID

import dramatiq.errors

from bridge import log_lines
from bridge.attempts import AttemptBook, Event, Held
from bridge.errors import BridgeError, Fail, Retry
from bridge.group_commit import GroupCommit
from bridge.job import Cancelled, Completed, Failed, Released, Report, Status
from bridge.kill_points import kill_point
from bridge.log_lines import LogFields
from bridge.worker.runs import LeaseLostError, Run, Runs

logger = logging.getLogger(__name__)

OnSettled = Callable[[Mapping[str, tuple[int, float]]], None]  # queue → jobs settled, milliseconds they ran
_SAYS_IT_ALL = (BridgeError, Fail, Retry, dramatiq.errors.Retry)
_REFUSED = "failed, and the database would not store why"
R = TypeVar("R", Completed, Failed, Released, Cancelled)


@dataclass(frozen=True, slots=True, eq=False)
class Ending:
    """How a run ended. `exception` is for the log, told in `context`; the store gets its text in the report."""

    held: Held
    report: Report
    run: Run | None = None
    exception: BaseException | None = None
    context: Context | None = None


class Reports:
    """Writes reports as soon as the last write has ended; the actor's thread does not wait.

    A crash before the write costs a second run, never a loss. Zero rows for a report means that the attempt
    is no longer ours: that is said in the log and nowhere else, since nothing of it may count.
    """

    def __init__(self, book: AttemptBook, runs: Runs, on_settled: OnSettled) -> None:
        self._book = book
        self._runs = runs
        self._on_settled = on_settled
        self._writer = GroupCommit[Event | Ending](
            "reports",
            self._write,
            on_refused=self._on_refused,
            in_haste=book.in_haste,
            key=lambda item: item.held,  # the events of an attempt come before its ending
        )

    def open(self) -> None:
        self._writer.start()

    def submit(self, item: Event | Ending) -> None:
        self._writer.submit(item)

    def give_back(self, held: Held) -> None:
        """Hand back an attempt that was started and will not be run."""
        self.submit(Ending(held, Released()))

    def close(self, timeout_seconds: float) -> int:
        """Write what is left, within the time given; how many items were lost (their jobs run again)."""
        left = self._writer.close(timeout_seconds)
        self._book.close()
        return left

    def _on_refused(self, item: Event | Ending, error: BridgeError) -> Event | Ending | None:
        """A result that Postgres cannot store is a failure of its attempt, and a failure it cannot store is a
        plainer one. Anything else is let go of: the heartbeat then finds an attempt that nobody holds, and
        hands it back.
        """
        match item:
            case Ending(report=Completed()):
                return replace(item, report=Failed(f"the result could not be stored: {error}"))
            case Ending(report=Failed() as report) if report != (plain := Failed(_REFUSED, final=report.final)):
                return replace(item, report=plain)
            case Ending(report=Cancelled()):
                return replace(item, report=Failed(_REFUSED, final=True))
            case Ending():
                self._runs.remove([item.held.exec])
        return None

    def _write(self, items: Sequence[Event | Ending]) -> None:
        if events := [item for item in items if isinstance(item, Event)]:
            self._book.add_events(events)
        endings = [item for item in items if isinstance(item, Ending)]
        if not endings:
            return
        settled = self._settle(endings)
        kill_point("complete.committed")
        if missing := [ending.held for ending in endings if ending.held.job_id not in settled]:
            settled |= self._book.recorded(missing)  # said before, and only the answer was lost
        for ending in endings:
            if ending.run is None and ending.held.job_id in settled:  # handed back, and perhaps begun meanwhile
                self._runs.interrupt(ending.held.exec, LeaseLostError)
        self._runs.remove([ending.held.exec for ending in endings])
        self._on_settled(_by_queue(endings))
        for ending in endings:
            status = settled.get(ending.held.job_id)
            if ending.context is None:
                _log(ending, status)
            else:
                ending.context.run(_log, ending, status)

    def _settle(self, endings: Sequence[Ending]) -> dict[UUID, Status]:
        """By job id, where those stand whose report was accepted."""
        settled: dict[UUID, Status] = {}
        if completed := _only(Completed, endings):
            settled |= self._book.complete(completed)
        if failed := _only(Failed, endings):
            settled |= self._book.fail(failed)
        if cancelled := _only(Cancelled, endings):
            settled |= self._book.cancel(cancelled)
        if released := _only(Released, endings):
            settled |= self._book.release(released)
        return settled


def _by_queue(endings: Sequence[Ending]) -> dict[str, tuple[int, float]]:
    """Queue → jobs that ended, and the milliseconds they ran."""
    queues: dict[str, tuple[int, float]] = {}
    for ending in endings:
        if ending.run is not None:
            jobs, ms = queues.get(ending.run.attempt.queue, (0, 0.0))
            queues[ending.run.attempt.queue] = jobs + 1, ms + ending.run.duration * 1000
    return queues


def _only(kind: type[R], endings: Sequence[Ending]) -> list[tuple[Held, R]]:
    return [(ending.held, ending.report) for ending in endings if isinstance(ending.report, kind)]


def _log(ending: Ending, status: Status | None) -> None:
    run = ending.run
    fields = run.log_fields if run else LogFields(jobId=str(ending.held.job_id))
    more = {"duration": int(run.duration * 1000)} if run else {}
    if status is None and ending.held.exec is None:
        logger.debug("A hand-over was over already", extra=fields)
        return
    if status is None:
        logger.warning("Report refused: this attempt is no longer ours", extra=fields | more)
        return
    match ending.report:
        case Completed(dropped=str() as reason):
            logger.warning("Result dropped", extra=fields | {"reason": reason})
            log_lines.info(logger, "Job completed", fields, **more)
        case Completed():
            log_lines.info(logger, "Job completed", fields, **more)
        case Cancelled(error):
            logger.warning("Job cancelled", extra=fields | more | {"error": error[:500]})
        case Failed():
            shown = _stack(ending.exception)
            has_stack = shown is not None and shown[2] is not None
            extra = fields | more if has_stack else fields | more | {"error": ending.report.error[:500]}
            if status is Status.PENDING:
                logger.warning("Job failed, will retry", extra=extra, exc_info=shown)
            else:
                logger.error("Job failed", extra=extra, exc_info=shown)
        case Released():
            logger.info("Job handed back", extra=fields | more)


def _stack(error: BaseException | None) -> tuple[type[BaseException], BaseException, TracebackType | None] | None:
    """What to show of an actor's exception: no stack of one that says it in a line, and no frame around it."""
    if error is None:
        return None
    if isinstance(error, _SAYS_IT_ALL):
        return type(error), error, None
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None and _is_around_the_actor(trace):
        trace = trace.tb_next
    return type(error), error, trace


def _is_around_the_actor(trace: TracebackType) -> bool:
    return str(trace.tb_frame.f_globals.get("__name__", "")).startswith(("dramatiq.", "bridge.worker.window"))
