"""Removes what sessions have left behind on this machine, or at the provider of its sandboxes."""

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from actors.coding.installation import Installation
from actors.coding.sandbox.base import SandboxInfo
from actors.coding.sandbox.sweeper import Sessions, sweep
from bridge.sessions import wanted_sandboxes
from bridge.snapshots.repository import Repository

logger = logging.getLogger(__name__)

_PAUSE_SECONDS = 60.0  # between two sweeps of a process that has many turns: it lists all sandboxes
# A sandbox of a session that this database does not have: it was deleted, or the folder serves another installation
# as well, which it should not.
_UNKNOWN_KEPT = timedelta(days=1)

_next_at = 0.0
_one_at_a_time = threading.Lock()


def sweep_beside(here: Installation) -> None:
    """Sweep in a thread of its own, if the last time is a while ago: a turn does not wait for it."""
    global _next_at  # noqa: PLW0603 -- of the process, like its turns
    if time.monotonic() >= _next_at:
        _next_at = time.monotonic() + _PAUSE_SECONDS
        threading.Thread(target=_sweep_and_log, args=(here,), name="sweeper", daemon=True).start()


def sweep_now(here: Installation) -> int:
    """How many sandboxes were stopped or removed. Raises SandboxError, StoreUnavailableError."""
    now = datetime.now(UTC)
    with _one_at_a_time:
        done = sweep(
            here.provider, lambda found: _wanted(found, now), now, idle=here.sandbox_idle, most=here.sandbox_max
        )
        _remove_snapshots(here.snapshots, now)
    return done


def _sweep_and_log(here: Installation) -> None:
    try:
        sweep_now(here)
    except Exception as error:  # noqa: BLE001 -- the next turn tries it again
        logger.warning("Sandboxes were not swept: %s", error)


def _wanted(found: Sequence[SandboxInfo], now: datetime) -> Sessions:
    wanted = wanted_sandboxes([info.session_id for info in found])
    unknown = {
        info.session_id for info in found if info.session_id not in wanted.known and now - info.used_at < _UNKNOWN_KEPT
    }
    return Sessions(working=wanted.working, kept={*wanted.kept, *unknown})


def _remove_snapshots(snapshots: Path, now: datetime) -> None:
    """Those of this machine: Postgres has them, too, as long as the session is there."""
    folders: dict[UUID, Path] = {}
    for folder in snapshots.glob("*-*-*-*-*"):
        with suppress(ValueError):
            folders[UUID(folder.name)] = folder
    wanted = wanted_sandboxes(folders)
    for session_id, folder in folders.items():
        is_recent = now.timestamp() - folder.stat().st_mtime < _UNKNOWN_KEPT.total_seconds()
        if session_id not in wanted.kept and not (session_id not in wanted.known and is_recent):
            Repository(folder).remove()
