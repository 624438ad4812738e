"""Dramatiq middleware: a message becomes a started job, an actor's end becomes a report.

`JobMiddleware` stands first of those that a job passes (see broker.py): its before-hook runs before all others, its
after-hook after all others.
"""

import logging
import math
import os
import time
from collections.abc import Collection, Mapping
from contextvars import copy_context
from functools import partial
from typing import Any

from dramatiq import Actor, Broker, Middleware, Worker
from dramatiq.broker import MessageProxy
from dramatiq.common import iter_queue
from dramatiq.middleware import SkipMessage, TimeLimit

from bridge.addresses import host_and_port
from bridge.errors import BridgeError
from bridge.job import Failed, Report, set_current_job
from bridge.logs import job_lines as log_lines
from bridge.logs.formats import write_last_lines
from bridge.postgres import connection_budget
from bridge.postgres.actor_options import plain_call
from bridge.postgres.startup_checks import check_database, mark_of_database, patiently
from bridge.runtime.watchdog import WATCHDOG
from bridge.settings import Settings
from bridge.transport.intake import UnseenMessageError
from bridge.transport.job_broker import JobBroker
from bridge.transport.server_check import check_road
from bridge.transport.slots import Slots
from bridge.worker.abilities import abilities_of
from bridge.worker.dramatiq_patches import patch_threads, prepare_worker
from bridge.worker.ending import Ending
from bridge.worker.follow_ups import OPTIONS, send_follow_ups, with_retry_options
from bridge.worker.intake import WorkerIntake
from bridge.worker.outcome import report_of, report_of_message, skipped
from bridge.worker.process import WorkerProcess
from bridge.worker.process_setup import set_up_worker_process
from bridge.worker.runs import Run
from bridge.worker.stop_signals import StopSignals, rest_at_boot

logger = logging.getLogger(__name__)

STOP_SECONDS = 20.0  # what a worker process takes to stop, beyond the grace time of its jobs, at the very most
ACTOR_OPTIONS = frozenset({"takes_job", "max_retries", "throws"}) | OPTIONS


class JobMiddleware(Middleware):
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop_signals = StopSignals()
        self._process: WorkerProcess | None = None
        self._worker: Worker | None = None
        self._time_limit_ms = math.inf  # of actors that do not say

    @property
    def actor_options(self) -> set[str]:
        return set(ACTOR_OPTIONS)

    @property
    def process(self) -> WorkerProcess:
        assert self._process is not None, "no worker process is running here"
        return self._process

    def end_process(self, lost_threads: Collection[int]) -> None:
        """For what cannot go on: jobs go back, those of `lost_threads` fail. Dramatiq starts another process."""
        self.process.leave(lost_threads)

    # Boot, in the order it happens. Each step needs the one before it:
    #
    # after_process_boot   Log lines have their form before anything is logged. Of the actors package only its __init__
    #                      is imported, so its stop signals are taken over again later.
    # before_worker_boot   What Dramatiq's threads get is replaced before they are made. The stores are checked before
    #                      this worker is registered: from then on bridges hand jobs over to it. The broker has its
    #                      intake before the process opens, since the first heartbeat may end it, and hand jobs back.
    # after_worker_boot    Its threads are patched when they are there. They may have taken the first jobs by then.

    def after_process_boot(self, broker: Broker) -> None:
        set_up_worker_process(self._settings, self._settings.grace_seconds + STOP_SECONDS)
        self._stop_signals.take()

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        assert isinstance(broker, JobBroker)
        WATCHDOG.watch("start")
        self._boot(broker, worker)
        WATCHDOG.forget()  # hooks of others follow, and may take as long as they like

    def _boot(self, broker: JobBroker, worker: Worker) -> None:
        prepare_worker(broker, worker)
        limits = [one.time_limit for one in broker.middleware if isinstance(one, TimeLimit)]
        self._time_limit_ms = min(limits, default=math.inf)
        self._worker = worker
        abilities = abilities_of(broker, worker)
        try:
            with self._stop_signals.ending_at_once():
                self._check_stores(broker)
            self._process = process = WorkerProcess(
                self._settings,
                abilities,
                partial(self._settled, broker),
                on_announced=partial(broker.announce_freed, {}),
                threads=lambda: [*worker.workers, *worker.consumers.values()],
                end=partial(self._leave_now, broker, worker, exit_code=1),
            )
            slots = Slots(worker.worker_threads, is_isolating=process.quarantine.is_isolating)
            broker.take_jobs(WorkerIntake(broker, process), slots)
            process.open()
        except BridgeError as error:
            logger.critical("This worker cannot start: %s", error)
            raise SystemExit(error.exit_code) from None
        broker.announce_freed({})  # there is room where there was none
        if not broker.actors:
            logger.warning(
                "No actor is declared: this worker takes no jobs",
                extra={"reason": "see ACTORS_MODULE, and call connect_broker() before actors are declared"},
            )
        logger.info("Worker ready", extra={"slots": abilities.slots, "queues": ",".join(abilities.queues)})

    def after_declare_actor(self, broker: Broker, actor: "Actor[Any, Any]") -> None:
        """Actors may be declared late, by a module that is imported when it is first needed."""
        if self._process is not None and self._worker is not None:
            assert isinstance(broker, JobBroker)
            self._process.announce(abilities_of(broker, self._worker))

    def _check_stores(self, broker: JobBroker) -> None:
        """Before this worker is in the table: jobs handed over to it meanwhile would only wait."""
        settings = self._settings
        check_database(settings.postgres_dsn(), connections=connection_budget.WORKER_PROCESS, rest=rest_at_boot)
        text = mark_of_database(settings.postgres_dsn())
        where = host_and_port(settings.redis_address(), 6379)
        patiently(
            lambda: check_road(broker.client, broker.namespace, broker.mark, text), where=where, rest=rest_at_boot
        )

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:
        self._stop_signals.take()  # modules were imported since
        patch_threads(broker, worker)

    def _settled(self, broker: JobBroker, settled: Mapping[str, tuple[int, float]]) -> None:
        if self.process.quarantine.is_isolating():
            broker.start_again()  # an isolated job is over: the next one may begin
        broker.announce_freed(settled)

    # A job's life.

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        run: Run | None = getattr(message, "run", None)
        if run is None:
            raise UnseenMessageError("not started here")  # whatever it is, no attempt stands behind it
        try:
            self._begin(broker, message, run)
        except SkipMessage:
            raise
        except Exception as error:
            # Anything else raised here would let the actor run.
            logger.exception("A job could not be begun")
            message.__dict__["run"] = None
            self._end(run, report_of(None, error), error)
            raise UnseenMessageError("not begun") from error

    def _begin(self, broker: Broker, message: MessageProxy, run: Run) -> None:
        job = run.attempt.job
        actor = broker.actors[message.actor_name]
        try:
            if actor.options.get("takes_job"):
                message.args, message.kwargs = (job,), {}
            else:
                message.args, message.kwargs, options = plain_call(job.payload)
                message.options.update(options)
                if job.attempt > 1:
                    message.options["retries"] = job.attempt - 1
        except ValueError as error:
            message.__dict__["run"] = None
            self._end(run, Failed(f"bad payload: {error}", final=True))
            raise UnseenMessageError("bad payload") from error
        if job.session_id is not None:
            object.__setattr__(job, "_emit", self.process.emitter(run))  # frozen for actors, not for us
        object.__setattr__(job, "_is_cancelled", lambda: run.is_cancelled)
        message.__dict__["created_ms"] = partial(self.process.created_ms, job.id)
        limit = message.options.get("time_limit") or actor.options.get("time_limit") or self._time_limit_ms
        run.limit = limit / 1000
        run.began = time.monotonic()
        run.has_begun = True
        set_current_job(job)
        log_lines.info(logger, "Processing job", run.log_fields)

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
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
            message.fail()  # for hooks of others: Dramatiq calls it nacked, and results are stored then
        self._end(run, report, exception)
        message.__dict__["run"] = None

    def after_skip_message(self, broker: Broker, message: MessageProxy) -> None:
        run: Run | None = getattr(message, "run", None)
        if run is None:
            return
        set_current_job(None)
        by, reason = getattr(message, "skipped", None) or run.skipped or ("skipped", SkipMessage())
        self._end(run, skipped(by, reason))
        message.__dict__["run"] = None

    def _end(self, run: Run, report: Report | None, exception: BaseException | None = None) -> None:
        if report is None:
            logger.info("Job dropped: its attempt is no longer ours", extra=run.log_fields)
            self.process.end(run, None)
        else:
            shown = exception if isinstance(report, Failed) else None
            # An error tracker's hook has seen the exception by now, and keeps that in the context: it is one event.
            context = copy_context() if shown is not None else None
            self.process.end(run, Ending(run.key, report, run, shown, context))

    # The end.

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        assert isinstance(broker, JobBroker)
        broker.drain()
        self.process.wind_down(lambda: self._leave_now(broker, worker))

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        self.process.close()

    def _leave_now(self, broker: JobBroker, worker: Worker, exit_code: int = 0) -> None:
        """Some thread sits in code that no exception reaches. Hand everything back and end the process under it."""
        try:
            for consumer in worker.consumers.values():
                if consumer.consumer is not None:
                    consumer.consumer.close()
            broker.intake.returned([item.message for item in iter_queue(worker.work_queue)])
            self.process.close()
        finally:
            write_last_lines()
            os._exit(exit_code)
