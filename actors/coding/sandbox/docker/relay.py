"""Beside a worker: carries its connections to a container, through one `docker exec`, and the sandbox's way out.

Not in the worker: what commands download passes here, and would take its processor. Standard input is a socket on which
the worker hands over its ends of connections; with it, the worker's end is the end of all. Argument: JSON with
`command`, `boot` (what boot.py takes, but for the programs) and `hosts` (see proxy.py).
"""

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Sequence

from actors.coding.sandbox.daemon.multiplexer import Broken, Multiplexer
from actors.coding.sandbox.daemon.proxy import Proxy
from actors.coding.sandbox.programs import programs

END_SECONDS = 8.0  # for what runs in the container: its daemon gives commands 6


def main() -> None:
    order = json.loads(sys.argv[2])
    engine = subprocess.Popen(order["command"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert engine.stdin is not None
    assert engine.stdout is not None
    boot = json.dumps({**order["boot"], "programs": programs()}).encode()
    with contextlib.suppress(BrokenPipeError):  # the engine has refused: its standard error says why
        engine.stdin.write(b"%d\n%s" % (len(boot), boot))
        engine.stdin.flush()
        _pass_on(engine.stdout.fileno(), engine.stdin.fileno(), order["hosts"])
    with contextlib.suppress(BrokenPipeError):
        engine.stdin.close()
    try:
        engine.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        engine.kill()


def _pass_on(read: int, write: int, hosts: Sequence[str]) -> None:
    proxy = Proxy(hosts) if hosts else None
    worker = socket.socket(fileno=0)

    def handed_over() -> socket.socket:
        _, descriptors, _, _ = socket.recv_fds(worker, 1, 1)
        if not descriptors:
            raise Broken
        return socket.socket(fileno=descriptors[0])

    def opened() -> socket.socket:
        if proxy is None:
            raise Broken
        ours, its = socket.socketpair()
        proxy.take(its)
        return ours

    multiplexer = Multiplexer(read, write, opened=opened, is_first=True)
    multiplexer.watch(worker, handed_over)
    multiplexer.run()
