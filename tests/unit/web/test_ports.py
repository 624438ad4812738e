"""Ports that cannot be listened on are one line, which names the setting to change."""

import socket
from collections.abc import Iterator

import pytest

from bridge.errors import PortTakenError
from bridge.settings import Settings
from bridge.web.ports import check_port, check_ports, ports_of


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_privileged_port_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("bridge.web.ports.socket.socket.bind", refuse)

    with pytest.raises(PortTakenError, match="Port 80 needs rights we do not have. Set HEALTH_CHECK_PORT"):
        check_port("127.0.0.1", 80)


def test_a_taken_port_of_the_pages_names_its_setting(taken: int, free: int) -> None:
    with pytest.raises(PortTakenError, match=f"Cannot listen on 127.0.0.1:{taken}: .* Set ADMIN_PORT to a free port"):
        check_ports(Settings(health_check_port=free, admin_port=taken))


def test_the_pages_cannot_be_at_the_public_port(free: int) -> None:
    with pytest.raises(PortTakenError, match=f"ADMIN_PORT {free} is the public port, too"):
        check_ports(Settings(health_check_port=free, admin_port=free, admin_bind_host="127.0.0.2"))


def test_a_host_of_the_pages_that_is_not_here_names_its_setting(free: int) -> None:
    with pytest.raises(PortTakenError, match="ADMIN_BIND_HOST nowhere.invalid is not an address of this machine"):
        check_ports(Settings(health_check_port=free, admin_port=free + 1, admin_bind_host="nowhere.invalid"))


def test_the_log_names_the_second_port_only_where_there_is_one() -> None:
    assert ports_of(Settings(health_check_port=1, admin_port=2)) == {"port": 1, "admin_port": 2}
    assert ports_of(Settings(health_check_port=1)) == {"port": 1}
