"""One `dramatiq` of one worker process, kept running."""

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bridge.runtime.backoff import full_jitter
from bridge.runtime.parent_watch import dies_with_parent
from bridge.worker import crash_record
from bridge.worker.crash_record import Crash

logger = logging.getLogger(__name__)

_STEADY_SECONDS = 30.0  # a process that dies sooner has perhaps not worked

# Slots are missing meanwhile, so one that died once starts soon; at most one start in five seconds is wasted on one
# that dies each time, and a start takes a second of a core.
_REST_SECONDS, _REST_BASE_SECONDS, _REST_MOST_SECONDS = 0.1, 0.1, 10.0
_RESTED_SECONDS = 5.0  # one that lived for so long has had its rest before


class Child:
    """Is started again when it dies: soon at first, later after longer waits.

    It runs in a session of its own. honcho and systemd signal the whole process group, and a worker of Dramatiq's
    would take the second SIGTERM, which its parent passes on, for "stop at once".
    """

    def __init__(self, command: list[str], record: Path, on_crash: Callable[[Crash], None]) -> None:
        """`record` is the file of its worker process's crash record, and `on_crash` gets what that says at its end."""
        self._command = command
        self._record = record
        self._on_crash = on_crash
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0.0
        self._had_registered = False
        self._deaths = 0
        self._start_at = 0.0

    def poll(self) -> int | None:
        """Start the process when it is due. Returns its exit code, once, when it has died."""
        if self._process is None:
            if time.monotonic() >= self._start_at:
                self._start()
            return None
        code = self._process.poll()
        if code is not None or crash_record.has_crashed(self._record):
            self._had_registered = bool(crash_record.has_registered(self._record))
            self._report_crash()
            if code is None:  # its parent, Dramatiq's own process, may take a second more to end
                os.killpg(self._process.pid, signal.SIGKILL)
                code = self._process.wait()
            self._process = None
            self._deaths = self._deaths + 1 if self._lived < _RESTED_SECONDS else 0
            rest = _REST_SECONDS + full_jitter(
                self._deaths, base_seconds=_REST_BASE_SECONDS, cap_seconds=_REST_MOST_SECONDS
            )
            self._start_at = time.monotonic() + rest
            logger.error(
                "A worker process died, starting it again", extra={"exitCode": code, "restSeconds": round(rest, 1)}
            )
        return code

    def _report_crash(self) -> None:
        if (crash := crash_record.take(self._record)) is not None:
            self._on_crash(crash)

    @property
    def _lived(self) -> float:
        return time.monotonic() - self._began

    @property
    def died_at_boot(self) -> bool:
        """It may die each time, as it has not worked: it was not registered, and ended soon."""
        return self._lived < _STEADY_SECONDS and not self._had_registered

    @property
    def is_steady(self) -> bool:
        return self._process is not None and self._process.poll() is None and self._lived >= _STEADY_SECONDS

    def _start(self) -> None:
        self._began = time.monotonic()
        with suppress(OSError):  # it does without
            crash_record.create(self._record)
        self._process = subprocess.Popen(
            self._command,
            env=os.environ | {crash_record.VARIABLE: str(self._record)},
            start_new_session=True,
            preexec_fn=dies_with_parent(signal.SIGTERM),  # noqa: PLW1509 -- this process has no other threads
        )

    def kill_if_in(self, groups: set[int]) -> None:
        """Kill it with all its processes, if its process group is one of these."""
        if self._process is not None and self._process.pid in groups:
            logger.error("A worker process is frozen: it is killed and started again; its jobs run elsewhere")
            os.killpg(self._process.pid, signal.SIGKILL)

    def terminate(self) -> None:
        """Tell it to stop. One that still boots is killed: it has nothing to lose, and may import for minutes."""
        if self._process is None:
            return
        if crash_record.has_registered(self._record) is False:
            os.killpg(self._process.pid, signal.SIGKILL)
        else:
            self._process.send_signal(signal.SIGTERM)

    def wait(self, deadline: float) -> None:
        """Until it has ended, or until the deadline (monotonic clock); then it is killed."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            logger.warning("The workers did not stop in time and are killed; their jobs will run again")
            os.killpg(self._process.pid, signal.SIGKILL)  # Dramatiq's own process alone would leave its workers behind
            self._process.wait()
        finally:
            crash_record.take(self._record)
