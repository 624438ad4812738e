"""A log of what really ran, outside the stores: a file per process, a line per event, appended and never changed."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from tests.campaign.evidence import Effect

FOLDER = "CAMPAIGN_EFFECTS"  # the environment variable that says where
_open: dict[int, int] = {}  # by process id: a file opened before a fork is not the child's


def write_effect(what: str, job_id: UUID, fence: int, exec_: UUID) -> None:
    """One write call, so that a line is written as a whole or not at all, whatever kills the process."""
    pid = os.getpid()
    if pid not in _open:
        path = Path(os.environ[FOLDER]) / f"{pid}.effects"
        _open[pid] = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(_open[pid], f"{what} {job_id} {fence} {exec_} {pid} {time.time():.4f}\n".encode())


def read_effects(folder: Path) -> Iterator[Effect]:
    for path in sorted(folder.glob("*.effects")):
        with path.open() as lines:
            for line in lines:
                what, job_id, fence, exec_, pid, at = line.split()
                yield Effect(what, UUID(job_id), int(fence), UUID(exec_), int(pid), float(at))
