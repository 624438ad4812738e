"""The memory of a worker that has run no session, beside that of an earlier commit."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from bench.sessions_world import Figure
from bench.stores import Stores

_BEFORE = "d649963"  # before sessions had an agent
_ROUNDS = 3
_SETTLE_SECONDS = 3.0  # after its boot, when nothing is loaded any more
_NOISE_MB = 0.5  # between two starts of the same code


def worker_memory(stores: Stores) -> Iterator[Figure]:
    name = f"RSS of a worker before its first session, beside {_BEFORE}"
    with tempfile.TemporaryDirectory(prefix="before-") as folder:
        archive = subprocess.run(["git", "archive", _BEFORE], capture_output=True, check=False)
        if archive.returncode:
            yield Figure(name, None, _NOISE_MB, "MB more", f"this copy of the repository does not have {_BEFORE}")
            return
        subprocess.run(["tar", "x", "-C", folder], input=archive.stdout, check=True)
        before, now = _memory(stores, Path(folder)), _memory(stores, Path.cwd())
    yield Figure(name, now - before, _NOISE_MB, "MB more", f"{before:.1f} MB before, {now:.1f} MB now")


def _memory(stores: Stores, tree: Path) -> float:
    """In MB, the least of some starts."""
    with stores.database(migrated=False) as url:
        environment = os.environ | {
            "PYTHONPATH": str(tree), "DATABASE_URL": url, "REDIS_URL": stores.redis_url, "LOG_LEVEL": "error",
        }  # fmt: skip
        command = [sys.executable, "-m", "bridge"]
        subprocess.run([*command, "migrate", "up"], cwd=tree, env=environment, check=True, stdout=subprocess.DEVNULL)
        return min(_memory_once(tree, environment) for _ in range(_ROUNDS))


def _memory_once(tree: Path, environment: dict[str, str]) -> float:
    dramatiq = [sys.executable, "-m", "dramatiq", "actors", "--processes", "1", "--threads", "1", "--skip-logging"]
    process = subprocess.Popen(dramatiq, cwd=tree, env=environment, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while not (children := _workers(process.pid)) and time.monotonic() < deadline:
            time.sleep(0.1)
        seen: list[int] = []
        while len(seen) < 3 or seen[-1] > seen[-2]:  # noqa: PLR2004 -- until it has stopped growing
            time.sleep(_SETTLE_SECONDS)
            seen.append(max(child.memory_info().rss for child in children))
        return seen[-1] / 1e6
    finally:
        process.terminate()
        process.wait(45)


def _workers(parent: int) -> list[psutil.Process]:
    return [one for one in psutil.Process(parent).children() if "resource_tracker" not in " ".join(one.cmdline())]
