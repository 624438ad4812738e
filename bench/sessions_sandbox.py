"""Sandboxes of this machine: how long one takes to start, to save a turn of it, and what is left of a killed worker."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import psutil

# The package of actors connects to the stores when it is imported, and nothing here uses one.
os.environ.setdefault("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
os.environ.setdefault("REDIS_URL", "redis://127.0.0.1:9/0")

from actors.coding.redact.known import KnownSecrets
from actors.coding.sandbox.base import Spec
from actors.coding.sandbox.local import LocalProvider
from actors.coding.workspace.choice import Limits
from actors.coding.workspace.workspace import MB, Workspace
from bench.numbers import percentiles
from bench.sessions_world import Figure
from bridge.snapshots.repository import Repository
from tests.support.bundles import MemoryBundles

T = TypeVar("T")

_SPEC = Spec(memory_mb=512, processes=64, file_mb=100)
_FILES = 5000
_AFTER_KILL_SECONDS = 0.5  # of the goal: no process is alive by then
_SLEEP = "86399"  # seconds: by them its processes are found

_WORKER = """
import sys
from pathlib import Path
from uuid import uuid4
from bench.sessions_sandbox import _SPEC, LocalProvider
sandbox = LocalProvider(Path(sys.argv[1])).obtain(uuid4(), 1, _SPEC)
sleep = f"sleep {sys.argv[2]}"
script = f"for i in $(seq 20); do setsid {sleep} & done; echo began; trap '' TERM; wait; {sleep}"
sandbox.run("call", ["sh", "-c", script], lambda _, data: print(data.decode(), end="", flush=True), seconds=60)
"""


def sandboxes(folder: Path, times: int, kills: int) -> Iterator[Figure]:
    """Needs bubblewrap. `folder` is for workspaces."""
    provider = LocalProvider(folder / "measured")
    provider.check()
    starts = []
    for _ in range(times):
        session_id = uuid4()
        starts.append(timed(partial(provider.obtain, session_id, 1, _SPEC))[0])
        provider.destroy(session_id)
    yield Figure("start of a local sandbox, p95", percentiles(starts).p95, 50, "ms", f"{times} starts")
    yield Figure(
        f"processes alive {_AFTER_KILL_SECONDS} s after kill -9 of a worker",
        left_of_killed(folder / "killed", kills),
        0,
        "",
        f"{kills} kills, with 21 processes each",
    )
    saved = percentiles(commits(provider, folder / "snapshots", times))
    yield Figure(f"save of a turn, {_FILES:,} files, p95", saved.p95, 150, "ms", f"p50 {saved.p50:.0f}, {times} turns")


def commits(provider: LocalProvider, snapshots: Path, times: int) -> Iterator[float]:
    """Milliseconds of the ends of turns that changed one file of many."""
    session_id = uuid4()
    sandbox = provider.obtain(session_id, 1, _SPEC)
    fill = f"for d in $(seq 50); do mkdir $d; for f in $(seq {_FILES // 50}); do echo $d $f > $d/$f; done; done"
    sandbox.run("fill", ["bash", "-c", fill], lambda *_: None, seconds=300)
    workspace = Workspace(
        session_id,
        sandbox,
        Repository(snapshots / str(session_id)),
        MemoryBundles(),
        limits=Limits(20 * MB, 200 * MB),
        kept_bytes=200 * MB,
        known=KnownSecrets([]),
    )
    workspace.prepare()
    for turn in range(times):
        sandbox.write(f"{1 + turn % 50}/1", f"changed in turn {turn}\n".encode())
        yield timed(partial(workspace.finish_turn, turn + 1))[0]
    provider.destroy(session_id)


def timed(call: Callable[[], T]) -> tuple[float, T]:
    began = time.monotonic()
    result = call()
    return (time.monotonic() - began) * 1000, result


def left_of_killed(folder: Path, times: int) -> int:
    """Kill a worker with 21 processes in a sandbox, many times: the most that are alive after half a second."""
    left = []
    for _ in range(times):
        worker = subprocess.Popen([sys.executable, "-c", _WORKER, folder, _SLEEP], stdout=subprocess.PIPE)
        assert worker.stdout is not None
        worker.stdout.readline()
        worker.kill()
        worker.wait()
        time.sleep(_AFTER_KILL_SECONDS)
        left.append(alive())
    return max(left)


def alive() -> int:
    return sum(
        process.info["cmdline"] == ["sleep", _SLEEP] and process.info["status"] != psutil.STATUS_ZOMBIE
        for process in psutil.process_iter(["cmdline", "status"])
    )
