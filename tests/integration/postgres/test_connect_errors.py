"""TLS and IPv6: what works, and one clear line for what does not."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from bridge.errors import PostgresUnavailableError, PostgresUnfitError
from bridge.postgres.connect import connect
from bridge.postgres.connect_errors import problem_of
from bridge.postgres.link import Link
from bridge.postgres.pool import Pool
from bridge.postgres.startup_checks import check_database
from tests.support.commands import Run
from tests.support.tls_postgres import TlsPostgres, tls_postgres

_UNREACHABLE = """
from bridge.postgres.connect import connect
try:
    connect("postgresql://u:geheim@[2001:db8::1]:5432/d", "test")
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsPostgres]:
    with tls_postgres(tmp_path_factory.mktemp("tls") / "postgres") as server:
        yield server


def is_encrypted(address: str) -> bool:
    with closing(connect(address, "test")) as connection:
        row = connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
    return row == {"ssl": True}


def test_the_modes_of_an_address_reach_the_driver(server: TlsPostgres) -> None:
    assert is_encrypted(server.url(sslmode="require"))
    assert is_encrypted(server.url(sslmode="verify-full", sslrootcert=server.ca))
    assert is_encrypted(server.url("127.0.0.1", sslmode="verify-ca", sslrootcert=server.ca))
    pool = Pool(server.url(sslmode="verify-full", sslrootcert=server.ca), "web")
    assert pool.call("ping") == [{"pong": 1}]
    pool.close()


def test_a_certificate_of_the_client_reaches_the_server(server: TlsPostgres) -> None:
    address = server.url(user="checked", sslmode="verify-full", sslrootcert=server.ca)

    assert is_encrypted(f"{address}&sslcert={server.client_cert}&sslkey={server.client_key}")
    with pytest.raises(PostgresUnfitError, match="sslcert and sslkey must name"):
        connect(server.url(user="checked", sslmode="require"), "test")


def refused(address: str) -> str:
    with pytest.raises(PostgresUnfitError) as caught:
        check_database(address, rest=lambda _: pytest.fail("waiting does not help"))
    assert "\n" not in str(caught.value)
    assert "geheim" not in str(caught.value)
    return str(caught.value)


def test_what_tls_refuses_is_one_line_and_no_wait(server: TlsPostgres) -> None:
    wrong = refused(server.url(sslmode="verify-full", sslrootcert=server.other_ca))
    assert wrong.startswith(f"Postgres at localhost:{server.port} cannot be used this way: ")
    assert "certificate verify failed; sslrootcert must name the certificate of the authority" in wrong
    assert "sslrootcert must name" in refused(server.url(sslmode="verify-full", sslrootcert="/no/such.crt"))
    assert "must name the host" in refused(server.url("127.0.0.1", sslmode="verify-full", sslrootcert=server.ca))
    assert "sslmode=require" in refused(server.url(sslmode="disable"))
    assert "sslmode is one of" in refused(server.url(sslmode="verify_full"))


def test_commands_say_it_in_one_line(server: TlsPostgres, run: Run) -> None:
    result = run("jobs", "list", DATABASE_URL=server.url(sslmode="verify-full", sslrootcert=server.other_ca))

    assert result.code == 4
    assert len(result.err.strip().splitlines()) == 1
    assert "sslrootcert must name the certificate" in result.err


def test_a_server_without_tls_is_named(dsn: str) -> None:
    with pytest.raises(PostgresUnfitError, match="does not support SSL.*; the server has no TLS"):
        connect(f"{dsn}?sslmode=require", "test")


def test_an_address_of_ipv6_works(server: TlsPostgres) -> None:
    link = Link(server.url("[::1]", sslmode="require"), "test")
    assert link.call("ping") == [{"pong": 1}]
    assert link.connection.info.host == "::1"
    link.close()


def test_a_machine_without_ipv6_is_told_which_address_to_use() -> None:
    """In a network of its own, where nothing is reachable."""
    alone = ["unshare", "--user", "--map-root-user", "--net"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], check=False).returncode:
        pytest.skip("this machine allows no network namespaces")

    result = subprocess.run([*alone, sys.executable, "-c", _UNREACHABLE], capture_output=True, text=True, check=True)

    assert result.stdout.startswith("PostgresUnavailableError ")
    assert 'at "2001:db8::1", port 5432 failed: ' in result.stdout
    assert "use the session pooler's address" in result.stdout
    assert result.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "is_it"),
    [
        ("failed to resolve host 'db.abcdefghijklmnopqrst.supabase.co': [Errno -5] No address", True),
        ("failed to resolve host 'db.example.com': [Errno -5] No address associated with hostname", False),
        ('connection to server at "2600::1", port 5432 failed: Cannot assign requested address', True),
        ('connection to server at "10.0.0.1", port 5432 failed: Network is unreachable', False),
    ],
)
def test_only_ipv6_is_taken_for_it(text: str, is_it: bool) -> None:
    problem = problem_of(text)

    assert (problem is not None and not problem.is_tls) is is_it


def test_a_name_without_an_address_is_unreachable() -> None:
    with pytest.raises(PostgresUnavailableError, match="failed to resolve host"):
        connect("postgresql://u:geheim@nobody.invalid/d", "test")
