"""Dramatiq middleware: it starts the job of a message, and reports how the actor ended.

`JobMiddleware` is the first middleware with hooks for messages (see broker.py): its before-hook runs before all others,
its after-hook after all others.
"""

import logging
import math
import time
from collections.abc import Collection
from contextvars import copy_context
from functools import partial
from typing import Any

from dramatiq import Actor, Broker, Middleware, Worker
from dramatiq.middleware import SkipMessage, TimeLimit

from bridge.errors import BridgeError
from bridge.job import Failed, Job, Report, drop_event, set_current_job
from bridge.logs import job_lines
from bridge.postgres import connection_budget
from bridge.postgres.actor_options import plain_call
from bridge.runtime.watchdog import WATCHDOG
from bridge.settings import Settings
from bridge.startup import check_stores
from bridge.transport.intake import UnseenMessageError
from bridge.transport.job_broker import JobBroker
from bridge.worker.abilities import abilities_of
from bridge.worker.boot import build_process, leave_now
from bridge.worker.crash_record import CrashRecord
from bridge.worker.dramatiq_patches import patch_threads, prepare_worker
from bridge.worker.ending import Ending
from bridge.worker.fatal_ends import watch_ends
from bridge.worker.follow_ups import OPTIONS, send_follow_ups, with_retry_options
from bridge.worker.outcome import report_of, report_of_message, skipped
from bridge.worker.process import WorkerProcess
from bridge.worker.process_setup import set_up_worker_process
from bridge.worker.runs import Run, WorkerMessage
from bridge.worker.stop_signals import StopSignals, let_parent_pass_signals_on
from bridge.worker.stop_times import ORPHAN_SECONDS

logger = logging.getLogger(__name__)

ACTOR_OPTIONS = frozenset({"takes_job", "max_retries", "throws"}) | OPTIONS


class JobMiddleware(Middleware):
    """The hooks that Dramatiq calls: at boot, for each job, and at the end. The methods are in this order."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop_signals = StopSignals()
        self._process: WorkerProcess | None = None
        self._worker: Worker | None = None
        self._record: CrashRecord | None = None
        self._time_limit_ms = math.inf  # of actors without the option

    @property
    def actor_options(self) -> set[str]:
        return set(ACTOR_OPTIONS)

    @property
    def process(self) -> WorkerProcess:
        assert self._process is not None, "no worker process is running here"
        return self._process

    def end_process(self, lost_threads: Collection[int]) -> None:
        """End a process that cannot work any more: jobs are handed back, those of `lost_threads` fail."""
        self.process.leave(lost_threads)

    # Boot, in this order; each step needs the ones before it.
    #
    # after_process_boot: logging is set up before anything is logged. Only the `__init__` of the actors package may be
    #   imported by now, so stop signals are taken over again in after_worker_boot.
    # before_worker_boot: first replaces what Dramatiq's threads get from their worker, because it makes them next. The
    #   stores are checked before the process opens, which registers this worker: from then on bridges hand jobs over
    #   to it. The broker gets its intake before that, because the first heartbeat may already end the process, which
    #   hands jobs back.
    # after_worker_boot: the threads exist, and are patched. They may have taken the first jobs by then.

    def after_process_boot(self, broker: Broker) -> None:
        set_up_worker_process(self._settings, self._settings.grace_seconds + ORPHAN_SECONDS)
        self._record = watch_ends()
        self._stop_signals.take()

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        assert isinstance(broker, JobBroker)
        WATCHDOG.watch("start")
        self._boot(broker, worker)
        WATCHDOG.forget()  # other middleware follow, whose hooks may take any time

    def _boot(self, broker: JobBroker, worker: Worker) -> None:
        prepare_worker(worker)
        limits = [one.time_limit for one in broker.middleware if isinstance(one, TimeLimit)]
        self._time_limit_ms = min(limits, default=math.inf)
        try:
            let_parent_pass_signals_on()
            broker.mark = check_stores(self._settings, broker.client, connections=connection_budget.WORKER_PROCESS)
            self._stop_signals.booted()
            self._worker, self._process = worker, build_process(self._settings, broker, worker, self._record)
            self._process.open()
        except BridgeError as error:
            logger.critical("This worker cannot start: %s", error)
            raise SystemExit(error.exit_code) from None
        broker.announce_freed({})  # bridges may hand jobs over to this worker from now on
        if not broker.actors:
            logger.warning(
                "No actor is declared: this worker takes no jobs",
                extra={"reason": "see ACTORS_MODULE, and call connect_broker() before actors are declared"},
            )
        queues = abilities_of(broker, worker).queues
        logger.info("Worker ready", extra={"slots": worker.worker_threads, "queues": ",".join(queues)})

    def after_declare_actor(self, broker: Broker, actor: "Actor[Any, Any]") -> None:
        """An actor may be declared late, by a module that is imported on first use."""
        if self._process is not None and self._worker is not None:
            assert isinstance(broker, JobBroker)
            self._process.announce(abilities_of(broker, self._worker))

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:
        self._stop_signals.take()  # again: modules of the package were imported since
        patch_threads(broker, worker)

    # For each job.

    # Our consumers make all messages, as JobMessage. A hook that is called with another one finds no run in it.

    def before_process_message(self, broker: Broker, message: WorkerMessage) -> None:  # type: ignore[override]
        run: Run | None = getattr(message, "run", None)
        if run is None:
            raise UnseenMessageError("not started here")  # so it is not an attempt of ours
        try:
            self._begin(broker, message, run)
        except SkipMessage:
            raise
        except Exception as error:
            # Dramatiq would run the actor after any other exception.
            logger.exception("A job could not be begun")
            message.run = None
            self._end(run, report_of(None, error), error)
            raise UnseenMessageError("not begun") from error

    def _begin(self, broker: Broker, message: WorkerMessage, run: Run) -> None:
        attempt, process = run.attempt, self.process
        actor = broker.actors[message.actor_name]
        emit = drop_event if attempt.session_id is None else process.emitter(run)
        job = Job(
            attempt.job_id, attempt.session_id, attempt.prompt, attempt.payload, attempt.priority, attempt.number,
            run.key.fence, emit, lambda: run.is_cancelled, partial(process.flush, run),
            run.blocking_calls.interruptible,
        )  # fmt: skip
        try:
            if actor.options.get("takes_job"):
                message.args, message.kwargs = (job,), {}
            else:
                message.args, message.kwargs, options = plain_call(attempt.payload)
                message.options.update(options)
                if attempt.number > 1:
                    message.options["retries"] = attempt.number - 1
        except ValueError as error:
            message.run = None
            self._end(run, Failed(f"bad payload: {error}", final=True))
            raise UnseenMessageError("bad payload") from error
        limit = message.options.get("time_limit") or actor.options.get("time_limit") or self._time_limit_ms
        run.limit = limit / 1000
        run.began = time.monotonic()
        run.has_begun = True
        set_current_job(job)
        process.record.begin(attempt.job_id)
        job_lines.info(logger, "Processing job", run.log_fields)

    def after_process_message(  # type: ignore[override]
        self,
        broker: Broker,
        message: WorkerMessage,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        run: Run | None = getattr(message, "run", None)
        if run is None:
            return
        set_current_job(None)
        if exception is not None:
            exception.__traceback__ = exception.__traceback__ or run.raised_at
        run.raised_at = None
        actor = broker.actors.get(message.actor_name)
        options = (actor.options if actor else {}) | message.options
        report = report_of_message(message, options, result, exception)
        if actor is not None and report is not None and not OPTIONS.isdisjoint(options):
            report = with_retry_options(report, options, run.attempt, exception)
            report = send_follow_ups(broker, message, options, run, report, result, exception)
        if isinstance(report, Failed) and (report.final or run.attempt.is_last):
            message.fail()  # for other middleware: Dramatiq nacks such a message, and stores results then
        self._end(run, report, exception)
        message.run = None

    def after_skip_message(self, broker: Broker, message: WorkerMessage) -> None:  # type: ignore[override]
        run: Run | None = getattr(message, "run", None)
        if run is None:
            return
        set_current_job(None)
        by, reason = getattr(message, "skipped", None) or run.skipped or ("skipped", SkipMessage())
        self._end(run, skipped(by, reason))
        message.run = None

    def _end(self, run: Run, report: Report | None, exception: BaseException | None = None) -> None:
        process = self.process
        process.record.end(run.attempt.job_id)
        if report is None:
            logger.info("Job dropped: its attempt is no longer ours", extra=run.log_fields)
            process.end(run, None)
        else:
            shown = exception if isinstance(report, Failed) else None
            # The hook of an error tracker has seen the exception by now, and noted that in the context. Another thread
            # logs the exception later: with the same context, the tracker does not report it twice.
            context = copy_context() if shown is not None else None
            process.end(run, Ending(run.key, report, run, shown, context))

    # At the end.

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        assert isinstance(broker, JobBroker)
        broker.drain()
        self.process.wind_down(lambda: leave_now(self.process, broker, worker))

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        self.process.close()
