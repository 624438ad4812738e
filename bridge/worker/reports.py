"""What a worker process has to report, in order and many at a time: events first, then endings."""

import logging
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar
from uuid import UUID

import dramatiq.errors

from bridge import log_lines
from bridge.attempts import AttemptBook, Event, Held
from bridge.errors import BridgeError, Fail, Retry
from bridge.group_commit import GroupCommit
from bridge.job import Cancelled, Completed, Failed, Released, Status
from bridge.kill_points import kill_point
from bridge.log_lines import LogFields
from bridge.worker.ending import Ending
from bridge.worker.refused_reports import RefusedReports
from bridge.worker.runs import LeaseLostError, Runs

logger = logging.getLogger(__name__)

OnSettled = Callable[[Mapping[str, tuple[int, float]]], None]  # queue → jobs settled, milliseconds they ran
_SAYS_IT_ALL = (BridgeError, Fail, Retry, dramatiq.errors.Retry)
_LEFT_ALONE = "the update of the job's row was suppressed: see the triggers and rules of coding_jobs"
R = TypeVar("R", Completed, Failed, Released, Cancelled)


class Reports:
    """Writes reports as soon as the last write has ended; the actor's thread does not wait.

    A crash before the write costs a second run, never a loss. Zero rows for a report means that the attempt
    is no longer ours: that is said in the log and nowhere else, since nothing of it may count. A report that Postgres
    refuses in every form is kept, and written again later.
    """

    def __init__(self, book: AttemptBook, runs: Runs, on_settled: OnSettled) -> None:
        self._book = book
        self._runs = runs
        self._on_settled = on_settled
        self._refused = RefusedReports(runs)
        self._writer = GroupCommit[Event | Ending](
            "reports",
            self._write,
            on_refused=self._on_refused,
            on_stuck=self._on_stuck,
            probe=self._probe,
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

    def retry_refused(self) -> None:
        """Write again what was refused and is due. To be called now and then, while Postgres answers."""
        for ending in self._refused.take_due(time.monotonic()):
            self.submit(ending)

    def close(self, timeout_seconds: float) -> int:
        """Write what is left, within the time given; how many items were lost (their jobs run again)."""
        for ending in self._refused.take_due(math.inf):
            self.submit(ending)
        left = self._writer.close(timeout_seconds)
        self._book.close()
        for job_id, is_refused_again in self._refused.left():
            why = "Postgres refused it until the end"
            if not is_refused_again:
                why = "Postgres had refused it, and it could not be written again in time"
            logger.error("Report given up: %s; the attempt will count as crashed", why, extra={"jobId": str(job_id)})
        return left

    def _on_refused(self, item: Event | Ending, error: BridgeError) -> Event | Ending | None:
        """A report is said in a plainer form, and kept where there is none; an event is let go of."""
        if isinstance(item, Event):
            logger.error("One of the events was refused", extra=_fields(item, error))
            return None
        plainer = item.plainer(error)
        if plainer is None:
            self._keep(item, str(error))
        elif item.first is None and not self._refused.has(item):
            logger.error("One of the reports was refused", extra=_fields(item, error))
        return plainer

    def _on_stuck(self, item: Event | Ending, error: BridgeError) -> None:
        """A right or a table is missing that others do not need: a report waits for it as it is, an event does not."""
        if isinstance(item, Event):
            self._on_refused(item, error)
        else:
            self._keep(item, str(error))

    def _probe(self, items: Sequence[Event | Ending]) -> None:
        """Say of no attempt what these say of theirs. Raises what every report would meet."""
        if any(isinstance(item, Event) for item in items):
            self._book.add_events([])
        kinds = {type(item.report) for item in items if isinstance(item, Ending)}
        if Completed in kinds:
            self._book.complete([])
        if Failed in kinds:
            self._book.fail([])
        if Cancelled in kinds:
            self._book.cancel([])
        if Released in kinds:
            self._book.release([])

    def _keep(self, ending: Ending, reason: str) -> None:
        if ending.held.exec is None or (ending.run is None and self._runs.has(ending.held.exec)):
            # A hand-over has a lease of its own; and a run that goes on here will say itself how it ended.
            logger.error("One of the reports was refused", extra=_fields(ending, reason))
            return
        if not self._refused.has(ending):
            logger.error(
                "Report kept: Postgres takes it in no form. It is tried again until it is taken",
                extra=_fields(ending, reason),
            )
        self._refused.keep(ending)

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
        if missing := [held for held in missing if held.job_id not in settled]:
            endings = self._keep_ours(endings, self._book.still_held(missing))
        for ending in endings:
            if ending.run is None and ending.held.job_id in settled:  # handed back, and perhaps begun meanwhile
                self._runs.interrupt(ending.held.exec, LeaseLostError)
        self._refused.settled(endings)
        self._runs.remove([ending.held.exec for ending in endings])
        self._on_settled(_by_queue(endings))
        for ending in endings:
            status = settled.get(ending.held.job_id)
            if ending.context is None:
                _log(ending, status)
            else:
                ending.context.run(_log, ending, status)

    def _keep_ours(self, endings: Sequence[Ending], ours: Collection[UUID]) -> list[Ending]:
        """Nothing was refused, and nothing written: a trigger returned NULL. Returns the others."""
        for ending in endings:
            if ending.held.exec in ours:
                self._keep(ending, _LEFT_ALONE)
        return [ending for ending in endings if ending.held.exec not in ours]

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


def _fields(item: Event | Ending, reason: BridgeError | str) -> dict[str, Any]:
    run = item.run if isinstance(item, Ending) else None
    fields = run.log_fields if run else LogFields(jobId=str(item.held.job_id))
    return {**fields, "reason": str(reason)}


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
