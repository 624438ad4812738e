"""What runs in a container that holds the sandbox of one session: the host of its daemon, on standard input and output.

The container is the wall; inside of it, commands run as an account of their own. Started by docker/boot.py as the
keeper, whose folder no command can enter, with the account of the commands as the effective one: files of the workspace
are read and written as theirs. Arguments: `container`, the session's id, `proxied` if the worker has a proxy.
"""

import contextlib
import os
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from actors.coding.sandbox import bubblewrap, seccomp
from actors.coding.sandbox.daemon import network
from actors.coding.sandbox.daemon.multiplexer import Multiplexer
from actors.coding.sandbox.host import Host
from actors.coding.sandbox.local import LocalProvider

STATE = Path("/var/lib/mobvibe")
WORKSPACE = "/workspace"


def main() -> None:
    _, _, session, network_ = sys.argv
    if not seccomp.is_known():
        sys.exit(f"containers for sandboxes need x86_64 or aarch64, and this is {os.uname().machine}")
    folder = STATE / session
    _link_the_volumes(folder)
    listener = socket.create_server(("127.0.0.1", 0)) if network_ == "proxied" else None
    provider = LocalProvider(STATE, is_confined=False, alone=_alone(listener))
    host = Host(provider, token="")  # who can start this program may do all it does
    multiplexer = Multiplexer(0, 1, opened=_served_by(host.serve), is_first=False)
    if listener is not None:
        multiplexer.watch(listener, lambda: listener.accept()[0])
    multiplexer.run()
    with contextlib.suppress(FileNotFoundError):
        os.utime(folder / "fence")  # when it was used last


def _link_the_volumes(folder: Path) -> None:
    """Let the folder of the session have the volumes where it has folders on other machines."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, volume in (("workspace", WORKSPACE), ("home", bubblewrap.HOME)):
        with contextlib.suppress(FileExistsError):
            (folder / name).symlink_to(volume)


def _alone(listener: socket.socket | None) -> dict[str, object]:
    """How commands run: see daemon/launch.py. Their PATH is the image's."""
    proxied = {} if listener is None else network.variables(listener.getsockname()[1])
    return {
        "program": None,
        "account": os.geteuid(),
        "seccomp": seccomp.program().hex(),
        "hosts": [],
        "variables": {**bubblewrap.VARIABLES, "PATH": os.environ.get("PATH", os.defpath), **proxied},
    }


def _served_by(serve: Callable[[socket.socket], None]) -> Callable[[], socket.socket]:
    def opened() -> socket.socket:
        ours, its = socket.socketpair()
        threading.Thread(target=serve, args=(its,), daemon=True).start()
        return ours

    return opened
