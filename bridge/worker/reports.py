"""Writes the reports of a worker process, many at a time and in order: events first, then endings."""

import logging
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar
from uuid import UUID

from bridge.errors import BridgeError
from bridge.job import Cancelled, Completed, Failed, Released, Status
from bridge.postgres.attempts import AttemptKey, Attempts, Event
from bridge.postgres.errors import may_be_of_an_item
from bridge.runtime.group_commit import GroupCommit
from bridge.runtime.kill_points import kill_point
from bridge.worker.ending import Ending
from bridge.worker.ending_log import fields_of, log_ending
from bridge.worker.flush import Flush
from bridge.worker.interrupts import LeaseLostError
from bridge.worker.refused_reports import RefusedReports, plainer
from bridge.worker.runs import Runs

logger = logging.getLogger(__name__)

OnSettled = Callable[[Mapping[str, tuple[int, float]]], None]  # queue → jobs settled, milliseconds they ran
_SUPPRESSED = "the update of the job's row was suppressed: see the triggers and rules of coding_jobs"
Item = Event | Flush | Ending
R = TypeVar("R", Completed, Failed, Released, Cancelled)


class Reports:
    """Writes reports as soon as the last write has ended; the actor's thread does not wait.

    A crash before the write costs a second run, never a lost job. A report that changes no row belongs to an attempt
    that is no longer ours: it is only logged, because nothing of that attempt may count. A report that Postgres refuses
    in every form is kept, and written again later.
    """

    def __init__(self, attempts: Attempts, runs: Runs, on_settled: OnSettled) -> None:
        self._attempts = attempts
        self._runs = runs
        self._on_settled = on_settled
        self._refused = RefusedReports(runs)
        self._writer = GroupCommit[Item](
            "reports",
            self._write,
            on_refused=self._on_refused,
            on_stuck=self._on_stuck,
            may_be_of_an_item=may_be_of_an_item,
            probe=self._probe,
            in_haste=attempts.in_haste,
            key=lambda item: item.key,  # the events of an attempt come before its ending
        )

    def open(self) -> None:
        self._writer.start()

    def submit(self, item: Item) -> None:
        self._writer.submit(item)

    def give_back(self, key: AttemptKey) -> None:
        """Hand back an attempt that was started and will not run."""
        self.submit(Ending(key, Released()))

    def retry_refused(self) -> None:
        """Write again the refused reports that are due. Call it repeatedly, while Postgres answers."""
        for ending in self._refused.take_due(time.monotonic()):
            self.submit(ending)

    def close(self, timeout_seconds: float) -> int:
        """Write what is left, within the given time. Returns how many items were lost; their jobs run again."""
        for ending in self._refused.take_due(math.inf):
            self.submit(ending)
        left = self._writer.close(timeout_seconds)
        self._attempts.close()
        for job_id, is_refused_again in self._refused.left():
            why = "Postgres refused it until the end"
            if not is_refused_again:
                why = "Postgres had refused it, and it could not be written again in time"
            logger.error("Report given up: %s; the attempt will count as crashed", why, extra={"jobId": str(job_id)})
        return left

    def _on_refused(self, item: Item, error: BridgeError) -> Item | None:
        """The simpler report to write instead. None: the report is kept, or it was an event, which is dropped."""
        if isinstance(item, Flush):
            item.failed(error)
            return None
        if isinstance(item, Event):
            logger.error("One of the events was refused", extra=fields_of(item, error))
            return None
        instead = plainer(item, error)
        if instead is None:
            self._keep(item, str(error))
        elif item.first is None and not self._refused.has(item):
            logger.error("One of the reports was refused", extra=fields_of(item, error))
        return instead

    def _on_stuck(self, item: Item, error: BridgeError) -> None:
        """Only this row needs a right or table that is missing: a report is kept unchanged, an event is dropped."""
        if isinstance(item, Ending):
            self._keep(item, str(error))
        else:
            self._on_refused(item, error)

    def _probe(self, items: Sequence[Item]) -> None:
        """Make the calls that these items need, for no attempt. Raises the error that every report would get."""
        if any(isinstance(item, Event) for item in items):
            self._attempts.add_events([])
        kinds = {type(item.report) for item in items if isinstance(item, Ending)}
        if Completed in kinds:
            self._attempts.complete([])
        if Failed in kinds:
            self._attempts.fail([])
        if Cancelled in kinds:
            self._attempts.cancel([])
        if Released in kinds:
            self._attempts.release([])

    def _keep(self, ending: Ending, reason: str) -> None:
        if ending.key.exec is None or (ending.run is None and self._runs.has(ending.key.exec)):
            # A hand-over has its own lease, and a run that still runs here is reported when it ends.
            logger.error("One of the reports was refused", extra=fields_of(ending, reason))
            return
        if not self._refused.has(ending):
            logger.error(
                "Report kept: Postgres takes it in no form. It is tried again until it is taken",
                extra=fields_of(ending, reason),
            )
        self._refused.keep(ending)

    def _write(self, items: Sequence[Item]) -> None:
        endings = [item for item in items if isinstance(item, Ending)]
        if len(endings) < len(items):
            self._write_events(items)
        if not endings:
            return
        settled = self._settle(endings)
        kill_point("complete.committed")
        if missing := _not_in(settled, endings):
            settled |= self._attempts.recorded(missing)  # written before, but the answer was lost
        if missing := [key for key in missing if key.job_id not in settled]:
            endings = self._keep_ours(endings, self._attempts.still_held(missing))
        for ending in endings:
            if ending.run is None and ending.key.job_id in settled:  # handed back, and perhaps running here again
                self._runs.interrupt(ending.key.exec, LeaseLostError)
        self._refused.settled(endings)
        self._runs.remove([ending.key.exec for ending in endings])
        self._on_settled(_by_queue(endings))
        for ending in endings:
            status = settled.get(ending.key.job_id)
            if ending.context is None:
                log_ending(ending, status)
            else:
                ending.context.run(log_ending, ending, status)

    def _write_events(self, items: Sequence[Item]) -> None:
        if events := [item for item in items if isinstance(item, Event)]:
            self._attempts.add_events(events)
        if flushes := [item for item in items if isinstance(item, Flush)]:
            held = self._attempts.still_held([flush.key for flush in flushes])
            for flush in flushes:
                flush.written(held)

    def _keep_ours(self, endings: Sequence[Ending], ours: Collection[UUID]) -> list[Ending]:
        """Keep those whose row did not change although they are ours: a trigger returned NULL. Returns the others."""
        for ending in endings:
            if ending.key.exec in ours:
                self._keep(ending, _SUPPRESSED)
        return [ending for ending in endings if ending.key.exec not in ours]

    def _settle(self, endings: Sequence[Ending]) -> dict[UUID, Status]:
        """By job id, the new status of the jobs whose report was accepted."""
        settled: dict[UUID, Status] = {}
        if completed := _only(Completed, endings):
            settled = self._attempts.complete(completed)
        if len(completed) == len(endings):
            return settled
        if failed := _only(Failed, endings):
            settled |= self._attempts.fail(failed)
        if cancelled := _only(Cancelled, endings):
            settled |= self._attempts.cancel(cancelled)
        if released := _only(Released, endings):
            settled |= self._attempts.release(released)
        return settled


def _not_in(settled: Collection[UUID], endings: Sequence[Ending]) -> list[AttemptKey]:
    if len(settled) == len(endings):  # of as many jobs; a look at each takes longer than its report
        return []
    return [ending.key for ending in endings if ending.key.job_id not in settled]


def _by_queue(endings: Sequence[Ending]) -> dict[str, tuple[int, float]]:
    """Queue → jobs that ended, and the milliseconds they ran."""
    queues: dict[str, tuple[int, float]] = {}
    for ending in endings:
        if ending.run is not None:
            jobs, ms = queues.get(ending.run.attempt.queue, (0, 0.0))
            queues[ending.run.attempt.queue] = jobs + 1, ms + ending.run.duration * 1000
    return queues


def _only(kind: type[R], endings: Sequence[Ending]) -> list[tuple[AttemptKey, R]]:
    return [(ending.key, ending.report) for ending in endings if isinstance(ending.report, kind)]
