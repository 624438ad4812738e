"""Addresses as they are shown: without a password."""

import pytest

from bridge.addresses import host_and_port, host_port_and_name, mask_address


@pytest.mark.parametrize(
    ("address", "masked"),
    [
        ("postgresql://u:geheim@h:5432/d", "postgresql://u:***@h:5432/d"),
        ("redis://:geheim@h:6379/0", "redis://:***@h:6379/0"),
        ("postgresql://h/d?user=u&password=geheim&x=1", "postgresql://h/d?user=u&password=***&x=1"),
        ("postgresql://h/d", "postgresql://h/d"),
        (
            "redis+sentinel://u:geheim@h,i/m/0?sentinel_password=geheim",
            "redis+sentinel://u:***@h,i/m/0?sentinel_password=***",
        ),
        ("postgresql://h/d?pass%77ord=geheim&x=1", "postgresql://h/d?pass%77ord=***&x=1"),
        ("postgresql://h/d?sslpassword=ge heim", "postgresql://h/d?sslpassword=***"),
        ("postgresql://h/d?oauth_client_secret=geheim", "postgresql://h/d?oauth_client_secret=***"),
        ("postgresql://h/d?scram_client_key=geheim", "postgresql://h/d?scram_client_key=***"),
        ("redis://u:12?ge=heim@h?db=1", "redis://u:***@h?db=1"),
        ("redis://h?%50assword=geheim&db=1", "redis://h?%50assword=***&db=1"),
        (
            "rediss+sentinel://h/m?sentinel%5Fpass%57ord=a&protocol=3",
            "rediss+sentinel://h/m?sentinel%5Fpass%57ord=***&protocol=3",
        ),
    ],
)
def test_an_address_is_shown_without_its_password(address: str, masked: str) -> None:
    assert mask_address(address) == masked


def test_an_address_is_shown_in_a_short_form() -> None:
    assert host_and_port("postgresql://u:p@db.example:6543/d", 5432) == "db.example:6543"
    assert host_and_port("redis://127.0.0.1", 6379) == "127.0.0.1:6379"
    assert host_and_port("postgresql://u:p@[2001:db8::1]/d", 5432) == "[2001:db8::1]:5432"
    assert host_and_port("unix:///tmp/redis.sock", 6379) == "/tmp/redis.sock"


@pytest.mark.parametrize(
    ("address", "database"),
    [
        ("postgresql://u:p%2Fw@db.example:6543/d?sslmode=require", "db.example:6543/d"),
        ("postgres://[::1]/d", "[::1]:5432/d"),
        ("postgresql:///d?host=/var/run/postgresql&port=5433&password=x@y", "/var/run/postgresql:5433/d"),
    ],
)
def test_a_database_is_named_by_its_host_port_and_name(address: str, database: str) -> None:
    assert host_port_and_name(address) == database
