"""`mobvibe worker`: keeps worker processes running, and sends each of them one stop signal."""

import logging
import sys
import time
from functools import partial

from bridge.errors import EXIT_REFUSED, BridgeError, RightsError, SchemaError, StoreUnavailableError
from bridge.runtime import liveness_file
from bridge.runtime.liveness import Liveness
from bridge.runtime.signals import StoppedError, StopSignal
from bridge.settings import Settings
from bridge.settings.redis_address import parse_redis_address
from bridge.startup import check_stores
from bridge.transport.client import connect_redis
from bridge.worker import losses
from bridge.worker.actors_package import IMPORT_SECONDS, import_error
from bridge.worker.child import Child
from bridge.worker.frozen import FrozenProcesses
from bridge.worker.stop_times import PROCESS_SECONDS, THREADS_SECONDS

logger = logging.getLogger(__name__)

# Exit codes of a worker process. They are only hints: a job may end its process with any of them.
_IMPORT_FAILED = 2  # Dramatiq's
_STORE_UNUSABLE = (EXIT_REFUSED, 1)  # ours, for a store that cannot serve: trying again would not help
_STORE_CHECK_SECONDS = 60.0  # for a few statements in both stores; the probe must not fail meanwhile
_POLL_SECONDS = 0.2  # a dead child is noticed soon, at a few system calls a second


class WorkersFailedError(BridgeError):
    """Dramatiq cannot start, and the next try would fail, too."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


def command(settings: Settings, threads: int) -> list[str]:
    """`dramatiq` for one worker process, with the options that the settings give."""
    return [
        sys.executable, "-m", "dramatiq", settings.actors_module,
        "--processes", "1",
        "--threads", str(threads),
        "--worker-shutdown-timeout", str(int((settings.grace_seconds + THREADS_SECONDS) * 1000)),
        "--skip-logging",
    ]  # fmt: skip


def shares(slots: int, processes: int) -> list[int]:
    """The threads of each process: the slots spread evenly, at least one each, so perhaps fewer processes."""
    processes = min(slots, processes)
    return [slots // processes + (n < slots % processes) for n in range(processes)]


class Supervisor:
    """Keeps WORKER_PROCESSES worker processes running, each under a Dramatiq of its own.

    One Dramatiq for all processes would end all of them, with their jobs, when one dies.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = StopSignal()
        self._liveness = Liveness("worker", settings)  # without its thread, which a fork would not have
        folder = liveness_file.folder_of(settings.mobvibe_dir)
        self._frozen = FrozenProcesses(folder, settings.lease_seconds)
        dsn = settings.postgres_dsn()
        self._children = [
            Child(
                command(settings, threads),
                liveness_file.path_of(folder, liveness_file.own_sign(f"crash{n}", dsn)),
                partial(losses.report, dsn),
            )
            for n, threads in enumerate(shares(settings.max_concurrent_jobs, settings.worker_processes))
        ]

    def run(self) -> None:
        """Run until a stop signal. Raises WorkersFailedError if the actors package or a store cannot be used."""
        self._liveness.begin()
        try:
            self._run()
        except StoppedError:  # while it tried the import or a store
            return
        finally:
            self._liveness.close()

    def _run(self) -> None:
        if error := self._import_error():  # before Dramatiq imports it, which would print a traceback
            raise error
        logger.info(
            "Starting workers",
            extra={
                "processes": len(self._children),
                "slots": self._settings.max_concurrent_jobs,
                "redis": parse_redis_address(self._settings.redis_address()).road,
            },
        )
        try:
            while not self._stop.is_set():
                self._liveness.say()
                frozen = self._frozen.groups()
                for child in self._children:
                    child.kill_if_in(frozen)
                    if (code := child.poll()) is not None:
                        self._give_up_if_hopeless(child, code)
                self._stop.wait(_POLL_SECONDS)
        finally:
            self._end()

    def _give_up_if_hopeless(self, child: Child, code: int) -> None:
        """End the other children too, if this one died for a reason that would end each of them at its start."""
        if self._stop.is_set() or any(other.is_steady for other in self._children):
            return
        if (code == _IMPORT_FAILED or child.died_at_boot) and (error := self._import_error()):
            raise error
        if code in _STORE_UNUSABLE and child.died_at_boot and (error := self._store_error()):
            raise error

    def _end(self) -> None:
        for child in self._children:
            child.terminate()
        stop_seconds = self._settings.grace_seconds + PROCESS_SECONDS
        self._liveness.say(stop_seconds)
        deadline = time.monotonic() + stop_seconds
        for child in self._children:
            child.wait(deadline)

    def _import_error(self) -> WorkersFailedError | None:
        self._liveness.say(IMPORT_SECONDS)
        with self._stop.raising():
            error = import_error(self._settings.actors_module)
        return None if error is None else WorkersFailedError(error, _IMPORT_FAILED)

    def _store_error(self) -> "WorkersFailedError | None":
        """Why no worker process can start with these stores; None if the next one may."""
        settings = self._settings
        self._liveness.say(_STORE_CHECK_SECONDS)
        client = connect_redis(settings.redis_address(), namespace=settings.redis_namespace)
        try:
            with self._stop.raising():
                check_stores(settings, client, tries=1)
        except (SchemaError, RightsError) as error:
            text = "The workers cannot use this database (the reason is above)."
            return WorkersFailedError(text, error.exit_code)
        except StoreUnavailableError as error:
            if not error.waiting_helps:
                text = f"The workers cannot use this {error.store} (the reason is above)."
                return WorkersFailedError(text, error.exit_code)
        finally:
            client.close()
        return None
