"""Everything that a campaign runs: both stores, proxies before them, and bridges and workers that use the proxies."""

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg
import redis

from bridge.dev.embedded import EmbeddedStores
from bridge.postgres.migrations import migrate_up
from bridge.runtime.parent_watch import adopt_orphans
from tests.campaign.effect_log import FOLDER
from tests.campaign.proxy_process import ProxyProcess
from tests.campaign.services import BIN, ROOT, Service, continue_and_kill

QUEUE = "campaign"
NAMESPACE = "campaign"
POSTGRES, REDIS, CLIENTS = (
    "postgres",
    "redis",
    "clients",
)  # the proxies' names; the last is the clients' way to Postgres


@dataclass(frozen=True)
class Size:
    """The number of bridges, workers and threads."""

    bridges: int = 2
    supervised_processes: int = 1  # of `mobvibe worker`
    plain_processes: int = 1  # of `dramatiq` by itself
    threads: int = 4
    lease_ms: int = 3000

    @property
    def worker_processes(self) -> int:
        return self.supervised_processes + self.plain_processes


class World:
    """Made by `open_world`. One thread starts and watches the processes: it must call `tick` often."""

    def __init__(self, folder: Path, size: Size, seed: int) -> None:
        self.folder = folder
        self.effects = folder / "effects"
        self.effects.mkdir()
        self.size = size
        self.seed = seed
        self.stores = EmbeddedStores(folder / "stores")
        self.stores.open_folder()
        self.stores.start()
        self.dsn = self.stores.postgres.url()
        migrate_up(self.dsn)
        self.proxies = ProxyProcess(
            {
                POSTGRES: _target(self.dsn, POSTGRES, seed),
                REDIS: _target(self.stores.redis.url, REDIS, seed + 1),
                CLIENTS: _target(self.dsn, POSTGRES, seed + 2),
            }
        )
        self.bridges = [
            self._service(f"bridge-{n}", [sys.executable, "-m", "bridge", "run"]) for n in range(size.bridges)
        ]
        self.supervised = self._service("worker", [sys.executable, "-m", "bridge", "worker"])
        plain = ["tests.campaign.actors", "-p", str(size.plain_processes), "-t", str(size.threads), "--skip-logging"]
        self.plain = self._service("dramatiq", [str(BIN / "dramatiq"), *plain])

    @property
    def services(self) -> list[Service]:
        return [*self.bridges, self.supervised, self.plain]

    def start(self) -> None:
        """Start everything, and wait until it serves."""
        for service in self.services:
            service.start()
        if not self.keep_going(60, lambda: len(self.live_workers()) >= self.size.worker_processes):
            raise RuntimeError("the workers did not register within 60 s")

    def tick(self) -> None:
        """Restart processes that died."""
        for service in self.services:
            service.tick()

    def keep_going(self, seconds: float, until: Callable[[], object] = lambda: False) -> bool:
        """Restart processes that die, for `seconds` or until the condition holds. Returns whether it held."""
        deadline = time.monotonic() + seconds
        while not until():
            if time.monotonic() >= deadline:
                return False
            self.tick()
            time.sleep(min(0.05, seconds))
        return True

    def connect_as_client(self) -> "psycopg.Connection[Any]":
        return psycopg.connect(_through(self.dsn, self.proxies.ports[CLIENTS]), autocommit=True, connect_timeout=5)

    # Access to the stores that bypasses the proxies.

    def connect(self) -> "psycopg.Connection[Any]":
        return psycopg.connect(self.dsn, autocommit=True, connect_timeout=5, application_name="campaign")

    def redis(self) -> "redis.Redis":
        return redis.Redis.from_url(self.stores.redis.url, socket_timeout=2, socket_connect_timeout=2)

    def live_workers(self) -> list[int]:
        """Process ids of registered workers whose processes are alive."""
        with suppress(psycopg.Error), self.connect() as connection:
            rows = connection.execute("SELECT name FROM workers WHERE stopped_at IS NULL").fetchall()
            pids = {int(name.rpartition(":")[2]) for (name,) in rows}
            return sorted(pid for pid in pids if psutil.pid_exists(pid))
        return []

    def worker_pids(self) -> list[int]:
        """The processes that run actors, as the operating system shows them."""
        return [pid for service in (self.supervised, self.plain) for pid in service.workers()]

    # The stores' ends and beginnings.

    # A killed server keeps its port until it has ended; after that, any other process may take the port.

    def restart_redis(self) -> None:
        self.stores.redis.stop()
        self.stores.redis.start(urlsplit(self.stores.redis.url).port)
        self.proxies.order(REDIS, "aim", port=urlsplit(self.stores.redis.url).port)

    def restart_postgres(self) -> None:
        self.stores.postgres.stop()
        self.stores.postgres.start(urlsplit(self.dsn).port)
        self.dsn = self.stores.postgres.url()
        for proxy in (POSTGRES, CLIENTS):
            self.proxies.order(proxy, "aim", port=urlsplit(self.dsn).port)

    def close(self) -> None:
        """End every process, even frozen ones."""
        family = psutil.Process().children(recursive=True)
        stores = {pid for pid in (self._pid(self.stores.postgres), self._pid(self.stores.redis)) if pid is not None}
        below = {child.pid for pid in stores for child in children_of(pid)}
        for pid in stores | below:
            with suppress(ProcessLookupError, psutil.NoSuchProcess):
                psutil.Process(pid).send_signal(signal.SIGCONT)
        continue_and_kill([one for one in family if one.pid not in stores | below])
        with suppress(OSError):
            self.proxies.close()
        self.stores.stop()

    @staticmethod
    def _pid(server: Any) -> int | None:
        return server.pid if server.is_running() else None

    def _service(self, name: str, command: list[str]) -> Service:
        environment = {
            "PATH": f"{BIN}:/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "DATABASE_URL": _through(self.dsn, self.proxies.ports[POSTGRES]),
            "REDIS_URL": _through(self.stores.redis.url, self.proxies.ports[REDIS]),
            "REDIS_NAMESPACE": NAMESPACE,
            "LEASE_MS": str(self.size.lease_ms),
            "SHUTDOWN_TIMEOUT_MS": "2000",
            "ACTORS_MODULE": "tests.campaign.actors",
            "WORKER_PROCESSES": str(self.size.supervised_processes),
            "MAX_CONCURRENT_JOBS": str(self.size.supervised_processes * self.size.threads),
            "LOG_LEVEL": "warn",
            "LOG_FORMAT": "json",
            "MOBVIBE_DIR": str(self.folder / "mobvibe"),
            "MOBVIBE_TEST_BUILD": "1",
            FOLDER: str(self.effects),
        }
        return Service(name, command, environment, self.folder)


def children_of(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _target(url: str, protocol: str, seed: int) -> dict[str, Any]:
    parts = urlsplit(url)
    return {"host": parts.hostname, "port": parts.port, "protocol": protocol, "seed": seed}


def _through(url: str, port: int) -> str:
    """The same address, but at the port of a proxy."""
    parts = urlsplit(url)
    return url.replace(f"@{parts.hostname}:{parts.port}", f"@127.0.0.1:{port}")


@contextmanager
def open_world(size: Size, seed: int, keep: Path | None = None) -> Iterator[World]:
    """Stores and processes in a temporary folder. All processes are ended, whatever happens.

    The logs are copied to `keep` if something went wrong, or on request.
    """
    adopt_orphans()
    folder = Path(tempfile.mkdtemp(prefix="mobvibe-campaign-"))
    folder.chmod(0o755)  # Postgres may run as another user
    world: World | None = None
    try:
        world = World(folder, size, seed)
        world.start()
        yield world
    except Exception:
        keep = keep or Path.cwd() / ".campaign" / f"seed-{seed}"
        sys.stderr.write(f"campaign: failed, the logs are kept in {keep}\n")
        raise
    finally:
        if world is not None:
            world.close()
        if keep is not None:
            keep_logs(folder, keep)
        shutil.rmtree(folder, ignore_errors=True)


def keep_logs(folder: Path, keep: Path) -> None:
    keep.mkdir(parents=True, exist_ok=True)
    for path in [*folder.glob("*.log"), *(folder / "stores").glob("*.log")]:
        shutil.copy(path, keep)
