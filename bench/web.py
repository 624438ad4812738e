"""The web process of a fleet: whether it answers."""

import urllib.error
import urllib.request


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=1) as reply:
            return bool(reply.status == 200)  # noqa: PLR2004 -- the status that all know
    except (urllib.error.URLError, OSError):
        return False
