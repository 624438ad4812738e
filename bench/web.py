"""The web process of a fleet: a port for it, and whether it answers."""

import socket
import urllib.error
import urllib.request


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=1) as reply:
            return bool(reply.status == 200)  # noqa: PLR2004 -- the status that all know
    except (urllib.error.URLError, OSError):
        return False
