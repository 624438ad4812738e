"""The proxies, in a process of their own, so that the campaign's own load does not delay them."""

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from bridge.runtime.parent_watch import dies_with_parent

ROOT = Path(__file__).parents[2]


class ProxyProcess:
    """`targets` maps a proxy's name to its host, port, protocol and seed."""

    def __init__(self, targets: dict[str, dict[str, Any]]) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.campaign.proxy", json.dumps(targets)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=dies_with_parent(signal.SIGKILL),  # noqa: PLW1509 -- no thread holds a lock here
        )
        self.ports: dict[str, int] = self._answer()

    def set_conditions(self, proxy: str, **conditions: Any) -> None:
        self.order(proxy, "set_conditions", **conditions)

    def clear(self, proxy: str) -> None:
        self.order(proxy, "set_conditions")

    def names(self, proxy: str) -> dict[int, str]:
        """The open connections: the name of the client, by number."""
        return dict(self.order(proxy, "who")["connections"])

    def order(self, proxy: str, do: str, **arguments: Any) -> dict[str, Any]:
        with self._lock:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps({"proxy": proxy, "do": do, "with": arguments}) + "\n")
            self._process.stdin.flush()
            return self._answer()

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the proxy process has died")
        answer: dict[str, Any] = json.loads(line)
        return answer
