"""`mobvibe worker`: keeps a `dramatiq` fleet running, and lets one stop signal be one stop signal."""

import logging
import signal
import subprocess
import sys
import time

from bridge.errors import BridgeError
from bridge.parent_watch import dies_with_parent
from bridge.settings import Settings
from bridge.signals import StopSignal

logger = logging.getLogger(__name__)

_IMPORT_FAILED = 2  # Dramatiq's exit code for it
_REFUSED = 4  # ours, for a database that cannot serve: trying again would not help
_STEADY_SECONDS = 30.0
_MARGIN_SECONDS = 8.0  # what a worker process takes to stop, beyond the grace time of its jobs


class WorkersFailedError(BridgeError):
    """Dramatiq cannot start, and will not with the next try either."""


def command(settings: Settings) -> list[str]:
    """`dramatiq` with the options that the settings give."""
    threads = -(-settings.max_concurrent_jobs // settings.worker_processes)
    return [
        sys.executable, "-m", "dramatiq", settings.actors_module,
        "--processes", str(settings.worker_processes),
        "--threads", str(threads),
        "--worker-shutdown-timeout", str(int((settings.grace_seconds + _MARGIN_SECONDS) * 1000)),
        "--skip-logging",
    ]  # fmt: skip


class Supervisor:
    """Starts Dramatiq, starts it again when it dies, ends it when told to.

    Dramatiq runs in a session of its own. honcho and systemd signal the whole process group, and Dramatiq's
    workers take the second SIGTERM, the one its parent passes on, for "at once".
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = StopSignal()
        self._deaths = 0

    def run(self) -> None:
        """Until a stop signal. Raises WorkersFailedError when Dramatiq cannot start at all."""
        logger.info(
            "Starting workers",
            extra={"processes": self._settings.worker_processes, "slots": self._settings.max_concurrent_jobs},
        )
        while not self._stop.is_set():
            began = time.monotonic()
            code = self._run_once()
            if self._stop.is_set():
                return
            if code in (_IMPORT_FAILED, _REFUSED):
                raise self._explain(code)
            if time.monotonic() - began < _STEADY_SECONDS and (reason := self._import_error()):
                raise self._explain(_IMPORT_FAILED, reason)
            self._deaths = 0 if time.monotonic() - began > _STEADY_SECONDS else self._deaths + 1
            rest = min(10.0, 0.5 * 2 ** min(self._deaths, 5))
            logger.error("The workers died, starting them again", extra={"exitCode": code, "restSeconds": rest})
            self._stop.wait(rest)

    def _run_once(self) -> int:
        process = subprocess.Popen(
            command(self._settings),
            start_new_session=True,
            preexec_fn=dies_with_parent(signal.SIGTERM),  # noqa: PLW1509 -- this process has no other threads
        )
        while True:
            try:
                return process.wait(0.2)
            except subprocess.TimeoutExpired:
                if self._stop.is_set():
                    return self._end(process)

    def _end(self, process: "subprocess.Popen[bytes]") -> int:
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(self._settings.grace_seconds + 2 * _MARGIN_SECONDS)
        except subprocess.TimeoutExpired:
            logger.warning("The workers did not stop in time and are killed; their jobs will run again")
            process.kill()
            return process.wait()

    def _import_error(self) -> str | None:
        """Why the actors package cannot be imported, in a line; None when it can.

        Dramatiq's exit code tells of an ImportError only, not of a syntax error or a misspelt option.
        """
        program = f"import sys; sys.path.insert(0, '.'); import {self._settings.actors_module}"
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        lines = result.stderr.strip().splitlines()
        return lines[-1] if result.returncode and lines else None

    def _explain(self, code: int, reason: str = "the reason is above") -> WorkersFailedError:
        if code == _IMPORT_FAILED:
            module = self._settings.actors_module
            error = WorkersFailedError(
                f"The actors package {module!r} cannot be imported ({reason}). "
                "Run from the folder that holds it, or set ACTORS_MODULE."
            )
        else:
            error = WorkersFailedError("The workers cannot use this database (the reason is above).")
        error.exit_code = code
        return error
