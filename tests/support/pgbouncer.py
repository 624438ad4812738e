"""A real PgBouncer before a Postgres: scripts/install-pgbouncer.sh installs it."""

import contextlib
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.rows import dict_row

from bridge.dev.embedded.server import HOST, ServerProcess, start_on_a_free_port
from bridge.errors import EmbeddedStoreError

_PASSWORD = "geheim"  # of its clients: it takes any, and no output may hold it
_PORT_IS_TAKEN = "nowhere to listen on"  # the last line of its log then


class PgBouncer:
    """One pooler for all databases of a server, in `mode` transaction, session or statement. It checks no passwords."""

    def __init__(self, folder: Path, server: str, mode: str = "transaction", **settings: Any) -> None:
        self._folder = folder
        self._server = urlsplit(server)
        self._port: int | None = None  # known since the first start, and kept: clients have the address
        self._settings = {
            "listen_addr": HOST,
            "unix_socket_dir": "",
            "auth_type": "any",
            "admin_users": "admin",
            "pool_mode": mode,
            "default_pool_size": 20,
            "max_client_conn": 500,
            **settings,
        }
        if os.geteuid() == 0:
            self._settings["user"] = "nobody"  # it refuses to run as root
        self._process = ServerProcess("pgbouncer", folder, stop_signal=signal.SIGKILL)

    def url(self, database: str) -> str:
        return f"postgresql://someone:{_PASSWORD}@{HOST}:{self._port}/{database}"

    def before(self, dsn: str) -> str:
        """The address of the database at `dsn`, by way of this pooler."""
        return self.url(urlsplit(dsn).path.strip("/"))

    def start(self) -> None:
        if self._port is None:
            start_on_a_free_port(self._start_first)
        else:
            self._start(self._port)

    def _start_first(self, port: int) -> None:
        try:
            self._start(port)
        except EmbeddedStoreError as error:
            if _PORT_IS_TAKEN in str(error):
                raise EmbeddedStoreError("Address already in use") from error  # as the other servers say it
            raise

    def _start(self, port: int) -> None:
        self._port = port
        there = self._server
        lines = [
            "[databases]",
            f"* = host={there.hostname} port={there.port} user={there.username} password={there.password}",
            "[pgbouncer]",
            f"listen_port = {port}",
            *(f"{name} = {value}" for name, value in self._settings.items()),
        ]
        config = self._folder / "pgbouncer.ini"
        config.write_text("\n".join([*lines, ""]))
        config.chmod(0o600)
        self._process.start([find_pgbouncer(), config], self._answers)

    def stop(self) -> None:
        self._process.stop()

    def restart(self) -> None:
        self.stop()
        self.start()

    def ask(self, command: str) -> list[dict[str, Any]]:
        """The answer of its console, such as to SHOW POOLS."""
        address = f"postgresql://admin@{HOST}:{self._port}/pgbouncer"
        with psycopg.connect(address, autocommit=True, row_factory=dict_row) as console:
            cursor = psycopg.ClientCursor(console)  # it knows the simple protocol only
            cursor.execute(command.encode())
            return cursor.fetchall() if cursor.description else []

    def _answers(self) -> bool:
        try:
            return bool(self.ask("SHOW VERSION"))
        except psycopg.OperationalError:
            return False


def find_pgbouncer() -> str:
    """The program. Raises RuntimeError where it is not installed."""
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        raise RuntimeError("PgBouncer is not installed: scripts/install-pgbouncer.sh")
    return found


def skip_without_pgbouncer() -> None:
    """Skips the test where it is not installed, unless PGBOUNCER=required."""
    try:
        find_pgbouncer()
    except RuntimeError as error:
        if os.environ.get("PGBOUNCER") == "required":
            raise
        pytest.skip(str(error))


@contextlib.contextmanager
def pgbouncer(folder: Path, server: str, mode: str = "transaction", **settings: Any) -> Iterator[PgBouncer]:
    folder.mkdir(parents=True, exist_ok=True)
    pooler = PgBouncer(folder, server, mode, **settings)
    pooler.start()
    try:
        yield pooler
    finally:
        pooler.stop()
