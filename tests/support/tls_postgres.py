"""A Postgres with TLS, which the embedded one is built without: of Debian's package, scripts/install-postgresql.sh."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT

import psycopg
import pytest

from bridge.dev.embedded.identity import Identity, find_identity
from bridge.dev.embedded.server import HOST, ServerProcess, start_on_a_free_port
from bridge.errors import EmbeddedStoreError
from tests.support.certificates import Authority

_DEBIANS = Path("/usr/lib/postgresql")
# Who comes without TLS is refused, and `checked` needs a certificate of her own.
_RULES = """
hostssl all checked all trust clientcert=verify-full
hostssl all all all scram-sha-256
"""


@dataclass(frozen=True)
class TlsPostgres:
    """Its port, and the files of its authority: `ca`, a client's certificate, and that of another authority."""

    port: int
    ca: Path
    client_cert: Path
    client_key: Path
    other_ca: Path

    def url(self, host: str = "localhost", user: str = "mobvibe:geheim", **options: object) -> str:
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return f"postgresql://{user}@{host}:{self.port}/postgres?{query}"


def find_programs() -> Path:
    """The folder of the newest version. Skips the test where there is none, unless TLS_POSTGRES=required."""
    versions = sorted(_DEBIANS.glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if versions:
        return versions[-1].parent
    if os.environ.get("TLS_POSTGRES") == "required":
        raise RuntimeError("Debian's Postgres is not installed: scripts/install-postgresql.sh")
    pytest.skip("needs Debian's Postgres: scripts/install-postgresql.sh")


@contextlib.contextmanager
def tls_postgres(folder: Path) -> Iterator[TlsPostgres]:
    programs, data = find_programs(), folder / "data"
    folder.mkdir(parents=True, exist_ok=True)
    data.mkdir(mode=0o700)
    identity = find_identity(data, programs)
    identity.owns(data)
    _create(programs, data, identity)
    authority, other = Authority(folder, "ours"), Authority(folder, "another")  # names of files in addresses
    server, client = authority.certify("localhost"), authority.certify("checked")
    for source, name in ((server.path, "server.crt"), (server.key, "server.key"), (authority.path, "ca.crt")):
        (data / name).write_bytes(source.read_bytes())
        (data / name).chmod(0o600)
    (data / "pg_hba.conf").write_text(_RULES)
    identity.owns(data)
    process = ServerProcess("postgres", folder, stop_signal=SIGINT)
    tried: list[TlsPostgres] = []

    def start(port: int) -> None:
        made = TlsPostgres(port, authority.path, client.path, client.key, other.path)
        tried.append(made)
        options = {
            "listen_addresses": f"{HOST},::1", "port": port, "unix_socket_directories": "", "fsync": "off",
            "ssl": "on", "ssl_cert_file": "server.crt", "ssl_key_file": "server.key", "ssl_ca_file": "ca.crt",
        }  # fmt: skip
        settings = [f"-c{name}={value}" for name, value in options.items()]
        process.start(
            [programs / "postgres", "-D", data, *settings],
            lambda: _answers(made, HOST) or _answers(made, "[::1]"),
            in_child=identity.in_child,
        )
        if not _answers(made, HOST):  # with one of its addresses it starts, and only warns of the other
            process.stop()
            raise EmbeddedStoreError("Address already in use")

    start_on_a_free_port(start)
    made = tried[-1]
    try:
        with psycopg.connect(made.url(sslmode="require"), autocommit=True) as connection:
            connection.execute("CREATE ROLE checked LOGIN SUPERUSER")
        yield made
    finally:
        process.stop()


def _answers(made: TlsPostgres, host: str) -> bool:
    try:
        psycopg.connect(made.url(host, sslmode="require")).close()
    except psycopg.OperationalError:
        return False
    return True


def _create(programs: Path, data: Path, identity: Identity) -> None:
    subprocess.run(
        [programs / "initdb", "--pgdata", data, "--username", "mobvibe", "--pwfile", "/dev/stdin", "--no-sync",
         "--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale", "--no-instructions"],
        input="geheim\n", text=True, check=True, capture_output=True, preexec_fn=identity.in_child,
        env={**os.environ, "LC_ALL": "C"},
    )  # fmt: skip
