"""The process's side of `mobvibe healthcheck`: it renews a file about once a second while all its threads progress."""

import logging
import math
import threading
import time
from contextlib import suppress

from bridge.runtime import liveness_file
from bridge.runtime.watchdog import WATCHDOG, StalledThread
from bridge.settings import Settings

logger = logging.getLogger(__name__)

_SAY_SECONDS = 1.0  # between two renewals: far below the 30 s after which a probe fails
_PAUSE_SECONDS = 5.0  # a renewal that is later than this was delayed by a stop of the whole process or machine


class Liveness:
    """Keeps this process's file in MOBVIBE_DIR. A failure to write it is logged, and does not stop the process."""

    def __init__(self, role: str, settings: Settings) -> None:
        self._role = role
        self._database_url = settings.postgres_dsn()
        self._folder = liveness_file.folder_of(settings.mobvibe_dir)
        self._path = liveness_file.path_of(self._folder, self._sign(None))
        self._is_written = self._has_failed = False
        self._stalled: StalledThread | None = None
        self._due = math.inf  # when the next renewal was promised
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="liveness", daemon=True)

    def begin(self) -> None:
        """Write the file for the first time. Without `start`, the caller must then call `say` about once a second."""
        with suppress(OSError):
            liveness_file.remove_leftovers(self._folder)
        self.say()

    def start(self) -> None:
        """Renew the file in a thread of its own, which runs whenever this process can run at all."""
        self.begin()
        self._thread.start()

    def say(self, rest_seconds: float = 0.0) -> None:
        """Renew the file, or write into it which thread is stalled. The next call comes within `rest_seconds`."""
        now = time.monotonic()
        if now - self._due > _PAUSE_SECONDS:
            WATCHDOG.allow(now - self._due)
        self._due = now + max(rest_seconds, _SAY_SECONDS)
        stalled = WATCHDOG.stalled()
        if stalled != self._stalled:
            self._log(stalled)
            self._is_written = False
        self._stalled = stalled
        try:
            self._put(stalled, stalled.since if stalled else time.monotonic() + rest_seconds)
        except OSError as error:
            self._log_failed_write(error)

    def close(self) -> None:
        """Remove the file: a process that has ended is not a failed one."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_SAY_SECONDS)
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _run(self) -> None:
        while not self._stopping.wait(_SAY_SECONDS):
            self.say()

    def _put(self, stalled: StalledThread | None, due: float) -> None:
        if not self._is_written:
            liveness_file.write(self._path, self._sign(stalled), due)
            self._is_written = True
        elif stalled is None:
            try:
                liveness_file.renew(self._path, due)
            except FileNotFoundError:  # another program removed it: write it again the next time
                self._is_written = False

    def _sign(self, stalled: StalledThread | None) -> liveness_file.Sign:
        return liveness_file.own_sign(self._role, self._database_url, stalled and stalled.name)

    def _log(self, stalled: StalledThread | None) -> None:
        if stalled is None:
            logger.warning("The loop makes progress again", extra={"loop": self._stalled and self._stalled.name})
        else:
            logger.critical(
                "A loop of this process makes no progress: mobvibe healthcheck %s fails until it does",
                self._role,
                extra={"loop": stalled.name, "seconds": int(time.monotonic() - stalled.since)},
            )

    def _log_failed_write(self, error: OSError) -> None:
        if not self._has_failed:
            logger.warning(
                "mobvibe healthcheck %s will not find this process: %s cannot be written (%s). "
                "Set MOBVIBE_DIR to a folder that can",
                self._role, self._folder, error.strerror,
            )  # fmt: skip
        self._has_failed = True
