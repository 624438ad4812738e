"""A real Redis that speaks TLS, with an authority of our own: what works, and a line for what does not."""

import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from pydantic import SecretStr

from bridge.cli.doctor_redis import examine_redis
from bridge.dev.embedded.server import HOST, pick_port
from bridge.errors import RedisUnfitError, SettingsError
from bridge.settings import Settings
from bridge.transport.client import check_redis, connect_redis
from tests.support import redis_servers
from tests.support.certificates import Authority, Certificate
from tests.support.fleet import Fleet
from tests.support.redis_servers import refusal
from tests.support.rows import Rows
from tests.support.waiting import eventually

Serve = Callable[..., int]  # takes a certificate and lines of a configuration, returns the port of TLS


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The embedded server has no TLS. Debian's is one program with several names."""
    if found := shutil.which("redis-server"):
        return Path(found)
    if found := shutil.which("redis-check-rdb"):
        link = tmp_path / "redis-server"
        link.symlink_to(found)
        return link
    if os.environ.get("REDIS_TLS") == "required":
        pytest.fail("no Redis with TLS: scripts/install-redis-tls.sh")
    pytest.skip("no Redis with TLS: scripts/install-redis-tls.sh")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def serve(stack: ExitStack, tmp_path: Path, program: Path, authority: Authority) -> Serve:
    def serve(certificate: Certificate, *lines: str, sentinel: bool = False) -> int:
        port = pick_port()
        tls = (
            f"tls-port {port}", f"tls-cert-file {certificate.path}", f"tls-key-file {certificate.key}",
            f'tls-ca-cert-file "{authority.path}"', "tls-replication yes",
            *([] if any("tls-auth-clients" in line for line in lines) else ["tls-auth-clients no"]),
        )  # fmt: skip
        folder = tmp_path / f"redis{port}"
        stack.enter_context(redis_servers.server(folder, *tls, *lines, sentinel=sentinel, program=program))
        return port

    return serve


def test_jobs_run_over_tls_with_an_authority_of_our_own(
    serve: Serve, authority: Authority, settings: Settings, rows: Rows, new_fleet: Callable[..., Fleet]
) -> None:
    port = serve(authority.certify(HOST), "requirepass geheim")
    url = SecretStr(f"rediss://:geheim@{HOST}:{port}/0?ssl_ca_certs={authority.path}")

    fleet = new_fleet(redis_url=url).start()
    job = rows.add_job(actor="double", queue="tests", payload={"n": 1})

    eventually(lambda: rows.status(job) == "completed", seconds=20)
    found = [one.found for one in examine_redis(fleet.settings)]
    assert "the connection is of the kind: single server over TLS" in found


def test_an_authority_that_is_not_named_is_unknown(serve: Serve, authority: Authority, tmp_path: Path) -> None:
    port = serve(authority.certify(HOST))
    other = Authority(tmp_path, "Another Authority")

    for options in ("", f"?ssl_ca_certs={other.path}"):
        error = refusal(f"rediss://{HOST}:{port}/0{options}")
        assert isinstance(error, RedisUnfitError)
        assert "its certificate is from an authority unknown here" in str(error)


def test_without_verification_any_certificate_will_do(serve: Serve, authority: Authority) -> None:
    port = serve(authority.certify("elsewhere.example", days=-1))

    with connect_redis(f"rediss://{HOST}:{port}/0?ssl_cert_reqs=none") as client:
        check_redis(client)


@pytest.mark.parametrize(
    ("host", "days", "expected"),
    [(HOST, -1, "its certificate has expired"), ("elsewhere.example", 2, "its certificate is for another name")],
)
def test_a_certificate_that_does_not_hold_is_named(
    serve: Serve, authority: Authority, host: str, days: int, expected: str
) -> None:
    port = serve(authority.certify(host, days=days))

    error = refusal(f"rediss://{HOST}:{port}/0?ssl_ca_certs={authority.path}")

    assert isinstance(error, RedisUnfitError)
    assert expected in str(error)


def test_a_server_may_want_a_certificate_of_ours(serve: Serve, authority: Authority) -> None:
    port = serve(authority.certify(HOST), "tls-auth-clients yes")
    ours = authority.certify("bridge.example")
    url = f"rediss://{HOST}:{port}/0?ssl_ca_certs={authority.path}"

    # The server says so, or ends the connection before we can read it.
    eventually(lambda: "it wants a certificate of ours" in str(refusal(url)), seconds=10)
    with connect_redis(f"{url}&ssl_certfile={ours.path}&ssl_keyfile={ours.key}") as client:
        check_redis(client)


def test_a_file_without_a_certificate_is_named(serve: Serve, authority: Authority, tmp_path: Path) -> None:
    port = serve(authority.certify(HOST))
    (tmp_path / "empty.pem").write_text("geheim")

    assert "names a file without a certificate" in str(
        refusal(f"rediss://{HOST}:{port}?ssl_ca_certs={tmp_path}/empty.pem")
    )
    with pytest.raises(SettingsError, match="ssl_ca_certs=/nowhere.pem: No such file"):
        connect_redis(f"rediss://{HOST}:{port}?ssl_ca_certs=/nowhere.pem")


def test_an_encrypted_key_asks_nobody_for_its_password(serve: Serve, authority: Authority, tmp_path: Path) -> None:
    port = serve(authority.certify(HOST), "tls-auth-clients yes")
    ours = authority.certify("bridge.example")
    key = serialization.load_pem_private_key(ours.key.read_bytes(), None)
    encrypted = tmp_path / "encrypted.key"
    encrypted.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"geheim"),
        )
    )
    url = f"rediss://{HOST}:{port}/0?ssl_ca_certs={authority.path}&ssl_certfile={ours.path}&ssl_keyfile={encrypted}"

    for wrong in ("", "&ssl_password=other"):
        error = refusal(url + wrong)
        assert isinstance(error, RedisUnfitError)
        assert "ssl_password is not its password" in str(error)
    with connect_redis(f"{url}&ssl_password=geheim") as client:
        check_redis(client)


def test_tls_is_spoken_with_sentinels_and_with_the_primary_that_they_name(serve: Serve, authority: Authority) -> None:
    certificate = authority.certify(HOST)
    primary = serve(certificate, "requirepass geheim")
    watch = (f"sentinel monitor mymaster {HOST} {primary} 1", "sentinel auth-pass mymaster geheim")
    port = serve(certificate, *watch, sentinel=True)
    url = f"rediss+sentinel://:geheim@{HOST}:{port}/mymaster"

    with connect_redis(f"{url}?ssl_ca_certs={authority.path}") as client:
        check_redis(client)
    assert "authority unknown here" in str(refusal(url))
