"""Worker processes that are frozen: stopped, or in C code that does not let other threads run."""

import os
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from bridge.runtime import liveness_file

_CHECK_SECONDS = 2.0  # a process is frozen after twice the lease, so two seconds more do not matter
_CHECKS = 3  # in a row: after a pause of the whole machine or container all processes look frozen for a moment


class FrozenProcesses:
    """Found by their liveness files, once they have been silent for twice the lease.

    By then their jobs run elsewhere, and their slots become free only when they end. A process that can still write its
    file, but has a stalled thread, is left to the probe: its actors may still work.
    """

    def __init__(self, folder: Path, lease_seconds: float) -> None:
        self._folder = folder
        self._silent_seconds = 2 * lease_seconds
        self._looked_at = 0.0
        self._seen: Counter[int] = Counter()

    def groups(self) -> set[int]:
        """The process groups with a frozen process. Checks every two seconds; reads a few small files."""
        if time.monotonic() - self._looked_at < _CHECK_SECONDS:
            return set()
        self._looked_at = time.monotonic()
        frozen = self._frozen()
        self._seen = Counter({pid: self._seen[pid] + 1 for pid in frozen})
        return {frozen[pid] for pid, looks in self._seen.items() if looks >= _CHECKS}

    def _frozen(self) -> dict[int, int]:
        """Process id → its group."""
        found: dict[int, int] = {}
        with suppress(OSError):  # no folder: no process has written there
            for one in liveness_file.find(self._folder, "worker"):
                if one.sign.stalled is None and one.late_seconds > self._silent_seconds:
                    with suppress(ProcessLookupError):
                        found[one.sign.pid] = os.getpgid(one.sign.pid)
        return found
