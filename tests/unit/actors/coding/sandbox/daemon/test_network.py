"""The network of a sandbox that may reach some hosts: real commands, which meet the proxy and nothing else."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from actors.coding.sandbox.base import Exit, Sandbox
from actors.coding.sandbox.local import LocalProvider
from tests.support.sandboxes import SPEC, local_provider, run
from tests.support.waiting import eventually

CLIENT = """
import sys, urllib.request, urllib.error
for url in sys.argv[1:]:
    try:
        print("GOT", urllib.request.urlopen(url, timeout=10).status)
    except urllib.error.HTTPError as error:
        print(error.code, error.read().decode().strip())
    except OSError as error:
        print(error)
"""


@pytest.fixture
def provider(tmp_path: Path) -> LocalProvider:
    return local_provider(tmp_path / "workspaces")


@pytest.fixture
def sandbox(provider: LocalProvider) -> Iterator[Sandbox]:
    sandbox = provider.obtain(uuid4(), 1, replace(SPEC, allowed_hosts=["localhost", "listed.invalid"]))
    yield sandbox
    sandbox.close()


def get(sandbox: Sandbox, *urls: str) -> list[str]:
    ran = run(sandbox, ["/usr/bin/python3", "-c", CLIENT, *urls])
    return ran.text().splitlines()


def test_each_request_meets_the_proxy(sandbox: Sandbox) -> None:
    hosts = ("http://other.invalid/", "http://listed.invalid/", "https://other.invalid/")
    with socket.create_server(("127.0.0.1", 0)) as outside:
        answers = get(sandbox, *hosts, "http://localhost/", f"http://localhost:{outside.getsockname()[1]}/")

    assert answers[0] == "403 the sandbox may not reach other.invalid: it is not among SANDBOX_NETWORK"
    assert answers[1].startswith("403 listed.invalid has no address")
    assert "403" in answers[2]
    assert all("Connection refused" in answer for answer in answers[3:]), "the sandbox's own, where nothing listens"


def test_a_listed_name_of_this_machine_is_refused_by_its_address(sandbox: Sandbox) -> None:
    script = 'unset no_proxy NO_PROXY; exec python3 -c "$0" http://localhost/ http://127.0.0.1/'
    ran = run(sandbox, ["/bin/sh", "-c", script, CLIENT])

    first, second = ran.text().splitlines()
    assert first == "403 the addresses of localhost are not public: the sandbox may not reach them"
    assert second.startswith("403 the sandbox may not reach 127.0.0.1")


def test_there_is_no_other_way(sandbox: Sandbox) -> None:
    script = "import socket\nprint(socket.if_nameindex())\nsocket.create_connection(('8.8.8.8', 53), 2)"
    ran = run(sandbox, ["/usr/bin/python3", "-c", script])

    assert ran.text() == "[(1, 'lo')]\n"
    assert "Network is unreachable" in ran.text("stderr")


def test_commands_side_by_side_have_a_network_each(sandbox: Sandbox) -> None:
    for _ in range(3):
        assert len(get(sandbox, "http://other.invalid/")) == 1


def test_descriptors_of_the_network_are_not_inside(sandbox: Sandbox) -> None:
    assert run(sandbox, "ls /proc/self/fd | wc -l").text() == "4\n", "three, and that of the listing itself"


def test_a_command_that_cannot_start_ends(sandbox: Sandbox) -> None:
    assert run(sandbox, ["/none"]).exit == Exit(code=1)


def test_nothing_stays_of_it(provider: LocalProvider, sandbox: Sandbox) -> None:
    (daemon,) = provider._daemons.values()
    (proxy,) = psutil.Process(daemon.pid).children()
    for _ in range(3):
        get(sandbox, "http://other.invalid/")

    eventually(lambda: proxy.num_threads() == 1, what="the ports of ended commands to be closed")
    sandbox.close()
    eventually(lambda: not proxy.is_running(), what="the proxy to end")
