"""Builds one worker process from its parts: links to Postgres, heartbeat, start calls and reports."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from bridge.job import Failed, Released
from bridge.postgres.attempts import AttemptKey, Attempts, Event
from bridge.postgres.json_text import to_json
from bridge.postgres.link import Link
from bridge.postgres.session_link import SessionLink
from bridge.settings import Settings
from bridge.worker.abilities import WorkerAbilities
from bridge.worker.crash_record import CrashRecord
from bridge.worker.ending import Ending
from bridge.worker.flush import Flush
from bridge.worker.heartbeat import Heartbeat
from bridge.worker.interrupts import JobCancelledError, LeaseLostError, LeaseOverError, WorkerStoppingError
from bridge.worker.quarantine import Quarantine
from bridge.worker.reports import OnSettled, Reports
from bridge.worker.runs import Run, Runs
from bridge.worker.starts import Starts

logger = logging.getLogger(__name__)

# The time that interrupted actors have to clean up. Short: a platform kills some seconds after its stop signal, and the
# reports still have to be written.
_STUCK_SECONDS = 1.5
_FLUSH_SECONDS = 5.0  # for the last reports, if Postgres is slow; the jobs of lost reports run again
_LAST_WRITE_SECONDS = 0.5  # if no time is left: one write to a Postgres that works takes less
_GOODBYE_SECONDS = 1.0  # spares bridges the wait for the end of the lease; not worth more, as a platform may kill us
_HEARTBEAT_TIMEOUT_MS = 3_000  # one that hangs is made again several times before the default lease is over
# The wait of a job that is handed back while it still runs. The process ends sooner: otherwise another run could start
# beside this one.
_GONE_SECONDS = 2.0
# Grace for an actor that cannot be interrupted or swallows the interrupt; then its process ends. Long enough for a slow
# cleanup or system call, and not longer than a lost worker keeps its jobs by default.
UNRESPONSIVE_SECONDS = 30.0
_HOOKS_GO_ON = "the actor ended, and a middleware's hook after it did not: its worker process was ended"
_UNREACHED = "the time limit was exceeded, and no exception ended the actor: its worker process was ended"
_NEVER_ENDS = "the thread or event loop of this actor ended under it: its worker process was ended"


class WorkerProcess:
    """Everything between Dramatiq's hooks and the database, from boot to shutdown.

    `on_settled` gets what was reported; `on_isolated_over` is called when one of them ran isolated, so that the next
    may begin; `on_resumed` when bridges know that a drained process takes jobs again; `on_announced` when they know of
    an actor that was declared late; `on_urgent` with queue and priority when a job began that others wait for.
    `threads` gives those that take or work jobs; `end` must end the process that it gets, by way of `close`.
    """

    def __init__(
        self,
        settings: Settings,
        abilities: WorkerAbilities,
        on_settled: OnSettled,
        *,
        on_isolated_over: Callable[[], None] = lambda: None,
        on_resumed: Callable[[], None] = lambda: None,
        record: CrashRecord | None = None,
        on_announced: Callable[[], None] = lambda: None,
        on_urgent: Callable[[str, int], None] = lambda _queue, _priority: None,
        threads: Callable[[], Iterable[threading.Thread]] = tuple,
        end: "Callable[[WorkerProcess], None]" = lambda _: None,
    ) -> None:
        dsn = settings.postgres_dsn()
        lease = timedelta(seconds=settings.lease_seconds)
        self._grace_seconds = settings.grace_seconds
        self._gone_at = 0.0  # after a stop signal: when this process must have ended
        self._shut_down = threading.Event()
        self._closing = threading.Lock()
        self.record = record or CrashRecord()
        self._is_leaving = False
        self._lost_threads: Collection[int] = ()
        self._threads = threads
        self._end_process = end
        self._announce_settled = on_settled
        self._on_isolated_over = on_isolated_over
        self.runs = Runs(on_urgent)
        self.reports = Reports(Attempts(Link(dsn, "reports")), self.runs, self._on_settled)
        self._starts = Starts(Attempts(Link(dsn, "starts")), self.reports.submit)
        self.quarantine = Quarantine(
            self.runs, partial(self._starts.keep, lease=lease), keep_seconds=settings.lease_seconds / 3
        )
        self._heartbeat = Heartbeat(
            Attempts(SessionLink(dsn, settings.session_dsn(), "heartbeat", statement_timeout_ms=_HEARTBEAT_TIMEOUT_MS)),
            self.runs,
            abilities,
            self.reports.give_back,
            lease_seconds=settings.lease_seconds,
            worker_id=settings.worker_id,
            is_isolating=self.quarantine.is_isolating,
            on_worker=self.record.set_worker,
            on_resumed=on_resumed,
            after_beat=self._after_beat,
            after_announcement=on_announced,
        )

    def open(self) -> None:
        """Register with Postgres and begin to work. Raises PostgresUnavailableError."""
        self._heartbeat.open()
        self.reports.open()

    def takes_nothing(self) -> bool:
        """Whether it takes no jobs now: it is isolating one, or an operator drains it. For any thread."""
        return self.quarantine.is_isolating() or self._heartbeat.is_told_to_drain

    def announce(self, abilities: WorkerAbilities) -> None:
        """Tell bridges that this process knows more actors than at its boot. Returns at once."""
        self._heartbeat.announce(abilities)

    def start(self, keys: Sequence[AttemptKey]) -> tuple[dict[UUID | None, Run], list[AttemptKey]]:
        """Start attempts. Returns by exec those that are ours to run, and those to try again later."""
        worker = self._heartbeat.worker
        attempts, later = self._starts.start(keys, lambda: self._heartbeat.worker)
        runs: dict[UUID | None, Run] = {
            one.exec: Run(one, attempt)
            for one in keys
            if (attempt := attempts.get(one.exec))  # type: ignore[arg-type]
        }
        self.runs.add(runs.values())
        if self._heartbeat.worker != worker:  # declared lost meanwhile, when these were not in `runs` to be stopped
            for exec_ in runs:
                self.runs.interrupt(exec_, LeaseOverError)
        return runs, later

    def created_ms(self, job_id: UUID) -> int:
        """When the job was inserted, in milliseconds since the epoch, as Dramatiq counts; 0 when it is deleted."""
        created = self._starts.created_at(job_id)
        return int(created.timestamp() * 1000) if created else 0

    def emitter(self, run: Run) -> Callable[[str, Mapping[str, Any]], None]:
        """The function behind the job's `emit`: it stores events with the other reports, in order."""

        def emit(event_type: str, data: Mapping[str, Any]) -> None:
            self.reports.submit(Event(run.key, event_type, to_json(data, f"{event_type!r} event")))

        return emit

    def flush(self, run: Run, timeout_seconds: float) -> None:
        """Behind the job's `flush`."""
        flush = Flush(run.key)
        self.reports.submit(flush)
        flush.wait(timeout_seconds)

    def wind_down(self, on_stuck: Callable[[], None]) -> None:
        """Give running jobs the grace time, then interrupt them. Calls `on_stuck` if even that does not end them."""
        self._gone_at = time.monotonic() + self._grace_seconds + _STUCK_SECONDS + _FLUSH_SECONDS
        self._heartbeat.drain()
        threading.Thread(target=self._wind_down, args=(on_stuck,), name="wind down", daemon=True).start()

    def _wind_down(self, on_stuck: Callable[[], None]) -> None:
        if self._shut_down.wait(self._grace_seconds):
            return
        running = self.runs.interrupt_all(WorkerStoppingError)
        if running:
            logger.warning("Shutdown timeout - job may be incomplete", extra={"jobs": running})
        if not self._shut_down.wait(_STUCK_SECONDS):
            on_stuck()

    def _on_settled(self, settled: Mapping[str, tuple[int, float]]) -> None:
        if self.quarantine.is_isolating():
            self._on_isolated_over()
        self._announce_settled(settled)

    def _after_beat(self) -> None:
        self.reports.retry_refused()
        self.runs.end_overdue_calls()
        self._leave_if_unresponsive()

    def _leave_if_unresponsive(self) -> None:
        """A system call, C code, a loop or a thread that has ended would keep a job and its slot for ever."""
        if self._is_leaving or self._gone_at:
            return
        unresponsive = self.runs.unresponsive(UNRESPONSIVE_SECONDS)
        for run in unresponsive:
            logger.error("An actor cannot be interrupted: its worker process ends", extra=run.log_fields)
        # A thread without an ident was made and not started yet.
        ended = [thread for thread in self._threads() if thread.ident is not None and not thread.is_alive()]
        if ended:
            names = ",".join(thread.name for thread in ended)
            logger.critical("A thread has ended: its worker process ends", extra={"threads": names})
        if unresponsive or ended:
            self.leave([thread.ident for thread in ended if thread.ident is not None])

    def leave(self, lost_threads: Collection[int] = ()) -> None:
        """End this process from within: its jobs are handed back, and Dramatiq starts another. Returns at once.

        A job that runs in one of `lost_threads` fails instead: handed back, it could do the same again for ever.
        """
        if not self._is_leaving:
            self._is_leaving = True
            self._lost_threads = lost_threads
            # Not here: it stops the heartbeat, which may be what calls this.
            threading.Thread(target=self._end_process, args=(self,), name="leave", daemon=True).start()

    def close(self) -> None:
        """Hand back what still runs, write all reports, and sign off. The process must end then."""
        with self._closing:  # a second caller waits: the process must not end under the first
            if not self._shut_down.is_set():
                self._close()

    def _close(self) -> None:
        self._shut_down.set()
        behind = [run for run in self.runs.all() if run.is_in_a_thread]
        for run in behind:
            self._leave_behind(run)
        deadline = time.monotonic() + _FLUSH_SECONDS
        if not behind:  # reports get the rest of the grace time: Postgres may come back
            deadline = max(deadline, self._gone_at)
        self._starts.close()
        lost = self.reports.close(max(_LAST_WRITE_SECONDS, deadline - time.monotonic()))
        if lost:
            logger.error(
                "Reports were lost: Postgres did not answer; their jobs will run again", extra={"reports": lost}
            )
        try:
            self._heartbeat.close(_GOODBYE_SECONDS)
        except Exception:
            logger.debug("No goodbye to Postgres", exc_info=True)

    def _leave_behind(self, run: Run) -> None:
        """Report a job whose actor still runs although its process ends."""
        if run.interrupt is LeaseLostError:
            return
        if run.ended is not None:
            self.reports.submit(Ending(run.key, Failed(_HOOKS_GO_ON)))
            return
        if run.thread in self._lost_threads:
            self.reports.submit(Ending(run.key, Failed(_NEVER_ENDS)))
            return
        if run.duration > run.limit and run.interrupt is not JobCancelledError:
            self.reports.submit(Ending(run.key, Failed(_UNREACHED)))
            return
        logger.warning("Job handed back while it still runs", extra=run.log_fields)
        self.reports.submit(Ending(run.key, Released(timedelta(seconds=_GONE_SECONDS))))

    def end(self, run: Run, ending: Ending | None) -> None:
        """The actor has ended: report it, or drop the attempt if it is not ours any more (None)."""
        run.is_reported = True
        if ending is None:
            self.runs.remove([run.key.exec])
        else:
            self.reports.submit(ending)
