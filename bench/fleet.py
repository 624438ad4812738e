"""One running contestant: its database, its processes, and the records of its jobs."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg

from bench import venvs
from bench.apps.record import Reader
from bench.contestants import Contestant, environment
from bench.stores import PATIENCE, Stores
from bridge.runtime.parent_watch import dies_with_parent

APPS = Path(__file__).parent / "apps"
Addresses = Callable[[str], Mapping[str, str]]


class Fleet:
    def __init__(
        self,
        contestant: Contestant,
        stores: Stores,
        database_url: str,
        folder: Path,
        venv: Path,
        addresses: Mapping[str, str],
    ) -> None:
        self.contestant = contestant
        self.stores = stores
        self.database_url = database_url
        self.connection = psycopg.connect(database_url, autocommit=True, options=PATIENCE)
        self.folder = folder
        self.records = folder / "records"
        self.records.mkdir()
        self.reader = Reader(self.records)
        self._venv = venv
        env = environment(contestant, database_url, stores, str(self.records)) | dict(addresses)
        self._env = env | {"PYTHONPATH": str(APPS), "PATH": f"{venv}:{env['PATH']}"}  # as in an activated environment
        self._log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.processes: list[subprocess.Popen[bytes]] = []

    def client(self, *arguments: str, seconds: float = 180) -> str:
        """Run the contestant's client. Returns what it prints. Raises if it fails or takes longer than `seconds`."""
        command = [str(self._venv / "python"), str(APPS / f"{self.contestant.app}.py"), *arguments]
        result = subprocess.run(
            command,
            cwd=APPS,
            env=self._env,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            check=True,
            timeout=seconds,
        )
        return str(result.stdout)

    def start(self) -> None:
        for command in self.contestant.commands:
            self.processes.append(
                subprocess.Popen(
                    [part.format(bin=self._venv) for part in command],
                    cwd=APPS,
                    env=self._env,
                    stdout=self._log,
                    stderr=self._log,
                    start_new_session=True,
                    preexec_fn=dies_with_parent(signal.SIGTERM),  # noqa: PLW1509 -- this process has no threads
                )
            )

    def done(self) -> int:
        return self.reader.count()

    def unfinished(self) -> int:
        return self.contestant.unfinished(self.stores, self.connection)

    def wait(self, what: str, condition: Callable[[], bool], seconds: float, poll: float = 0.01) -> float:
        """Wait for a condition. Returns the epoch seconds when it became true. Raises RuntimeError after `seconds`."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline or any(process.poll() is not None for process in self.processes):
                raise RuntimeError(f"{self.contestant.name}: {what} did not happen; see {self.folder / 'log'}")
            time.sleep(poll)
        return time.time()

    def family(self, number: int) -> list[psutil.Process]:
        """The process of the command with this index, and all its descendants."""
        root = psutil.Process(self.processes[number].pid)
        return [root, *root.children(recursive=True)]

    def stop(self) -> None:
        """Kill all our processes and their descendants at once, because their last output is not needed."""
        families: list[psutil.Process] = []
        for number in range(len(self.processes)):
            with contextlib.suppress(psutil.NoSuchProcess):
                families += self.family(number)
        for process in families:  # parents first, so that none can start a child again
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()  # psutil notices when a process id is reused
        psutil.wait_procs(families, timeout=15)
        for started in self.processes:
            started.wait()
        self.processes.clear()
        self.connection.close()
        os.close(self._log)


@contextmanager
def open_fleet(
    contestant: Contestant, stores: Stores, work: Path, addresses: Addresses | None = None
) -> Iterator[Fleet]:
    """A contestant with a database and records of its own, prepared but not started.

    `addresses` gives more variables for its processes, from the address of its database. Its folder, with the log, is
    kept if something fails.
    """
    venv = venvs.make(work / "venvs", (contestant.requirements and contestant.app) or "own", contestant.requirements)
    folder = Path(tempfile.mkdtemp(prefix=f"{contestant.name}-", dir=work))
    with stores.database(migrated=contestant.migrated) as database_url:
        fleet = Fleet(contestant, stores, database_url, folder, venv, addresses(database_url) if addresses else {})
        try:
            fleet.client("prepare")
            yield fleet
        finally:
            fleet.stop()
    shutil.rmtree(folder)
