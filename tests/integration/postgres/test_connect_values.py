"""Values of an address that libpq refuses end the start at once, and are not waited for as a server is."""

import pytest

from bridge.errors import SettingsError
from bridge.postgres.connect import connect, connect_options
from bridge.postgres.pool import Pool
from bridge.postgres.session_check import check_session_address
from bridge.postgres.startup_checks import check_database


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("port=x", 'invalid integer value "x" for connection option "port"'),
        ("port=99999", 'invalid port number: "99999"'),
        ("port=1,2,3", "could not match 3 port numbers to 1 hosts"),
        ("host=a,b&port=1,2,3", "could not match 3 port numbers to 2 hosts"),
        ("connect_timeout=x", "connect_timeout must be a number of seconds"),
        ("keepalives=99999999999", "keepalives must be a whole number"),
        ("keepalives_count=2147483648", "keepalives_count must be a whole number"),
        ("keepalives_idle=x", "keepalives_idle must be a whole number"),
        ("tcp_user_timeout=5s", "tcp_user_timeout must be a whole number"),
        ("hostaddr=x", "hostaddr must be an IP address"),
        ("hostaddr=127.0.0.1,127.0.0.2", "hostaddr must be an IP address for each host"),
        ("target_session_attrs=x", 'invalid target_session_attrs value: "x"'),
        ("sslnegotiation=direct", 'weak sslmode "prefer" may not be used with sslnegotiation=direct'),
        ("ssl_min_protocol_version=x", 'invalid "ssl_min_protocol_version" value: "x"'),
        ("gssencmode=x", 'invalid gssencmode value: "x"'),
        ("service=x", 'definition of service "x" not found'),
    ],
)
def test_a_value_that_no_connection_could_use_is_a_wrong_setting(options: str, problem: str) -> None:
    address = f"postgresql://u:geheim@127.0.0.1:1/d?{options}"
    for refuse in (
        lambda: check_database(address, rest=lambda _: pytest.fail("waiting does not help")),
        lambda: connect(address, "test"),
        lambda: Pool(address, "test"),
    ):
        with pytest.raises(SettingsError) as caught:
            refuse()

        assert str(caught.value).startswith("DATABASE_URL has an option that cannot be used: ")
        assert problem in str(caught.value)
        assert "\n" not in str(caught.value)
        assert "geheim" not in str(caught.value)
        assert caught.value.exit_code == 1


def test_a_value_that_no_connection_could_use_is_named_with_its_variable(dsn: str) -> None:
    with pytest.raises(SettingsError, match="^LISTEN_DATABASE_URL has an option that cannot be used"):
        check_session_address(dsn, f"{dsn}?port=x")


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u@first,second/d?port=1,2",
        "postgresql://u@first,second:5433/d",
        "postgresql:///d?host=/run/postgresql&port=5433",
        "postgresql://u@h/d?hostaddr=127.0.0.1",
        "postgresql://u@h/d?hostaddr=fe80::1%25lo&connect_timeout=-1&keepalives=0&port=",
        "postgresql://u@h/d?sslmode=verify-full&sslrootcert=system&gssencmode=disable&channel_binding=require",
        "postgresql://u@h/d?sslmode=require&sslnegotiation=direct&target_session_attrs=read-write",
        "postgresql://u@h/d?gssencmode=require&requirepeer=postgres&krbsrvname=x&require_auth=scram-sha-256",
        "postgresql://u@h/d?sslmode=require&sslcert=/none/c.pem&sslkey=/none/k.pem&sslcrl=/none/r.pem&sslcompression=1",
    ],
)
def test_values_that_a_connection_can_use_are_read(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOSTADDR", "127.0.0.1")
    monkeypatch.setenv("PGGSSENCMODE", "require")

    assert connect_options(address, "test")["dbname"] == "d"
