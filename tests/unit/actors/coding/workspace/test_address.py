"""S17: only HTTPS to a listed host with public addresses is cloned from."""

import socket
from collections.abc import Sequence

import pytest

from actors.coding.workspace.address import Address, CloneError, HostUnavailableError, checked_address

HOSTS = {"github.com", "git.example.com:8443", "localhost", "127.0.0.1", "169.254.169.254"}


def checked(url: str, *ips: str) -> Address:
    return checked_address(url, HOSTS, resolve=lambda _host, _port: ips or ["140.82.121.3"])


def test_a_listed_host_is_connected_to_at_its_public_addresses() -> None:
    assert checked("https://GitHub.com/owner/name.git", "140.82.121.3", "10.0.0.1", "2606:50c0::1") == Address(
        "https://github.com/owner/name.git", "github.com", 443, ["140.82.121.3", "2606:50c0::1"]
    )
    assert checked("https://git.example.com:8443/a").port == 8443
    assert checked("https://github.com:443/a/b").url == "https://github.com/a/b"


def test_what_is_no_address_of_a_repository_is_refused() -> None:
    with pytest.raises(CloneError, match="is not one such as"):
        checked("http://github.com/a/b")


@pytest.mark.parametrize(
    "url", ["https://example.com/a", "https://github.com.evil.example/a", "https://github.com:8443/a"]
)
def test_hosts_that_are_not_listed_are_refused(url: str) -> None:
    with pytest.raises(CloneError, match="is not a host to clone from"):
        checked(url)


@pytest.mark.parametrize(
    "ip",
    ["127.0.0.1", "10.1.2.3", "169.254.169.254", "100.64.0.1", "::1", "fe80::1", "::ffff:127.0.0.1", "192.168.0.1"],
)
def test_listed_hosts_with_private_addresses_are_refused(ip: str) -> None:
    with pytest.raises(CloneError, match="are not public"):
        checked("https://github.com/a", ip)


def test_a_host_without_an_address_is_named() -> None:
    def fails(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(
        HostUnavailableError, match=r"^github\.com has no address \(Name or service not known\): try again later$"
    ):
        checked_address("https://github.com/a", HOSTS, resolve=fails)
