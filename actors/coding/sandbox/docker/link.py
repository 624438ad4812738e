"""Connections of an attempt to the host in its container: all through one `docker exec`."""

import json
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from actors.coding.sandbox.base import SandboxError, Spec
from actors.coding.sandbox.docker.command import environment, error_of
from actors.coding.sandbox.hello import introduce
from actors.coding.sandbox.local import DAEMON

ANSWER_SECONDS = 30.0  # for the host: it starts in a moment, and waits 15 s at most for another one
END_SECONDS = 10.0  # for the relay, which waits for the container's part


class Link:
    """`command` starts the host, and `boot` is what it is told. Use it from any thread."""

    def __init__(self, command: Sequence[str], boot: Mapping[str, Any], hosts: Sequence[str]) -> None:
        self._said = b""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 -- closed with this
        self._worker, relay = socket.socketpair()
        order = json.dumps({"command": list(command), "boot": boot, "hosts": list(hosts)})
        with relay:
            self._relay = subprocess.Popen(
                [sys.executable, "-I", "-S", str(DAEMON), "relay", order],
                stdin=relay.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                env=environment(),
                start_new_session=True,
            )

    def connect(self, session_id: UUID, fence: int, spec: Spec | None = None) -> socket.socket:
        """A connection to the daemon. Raises OSError when there is no way; see `introduce` for the others."""
        ours, its = socket.socketpair()
        try:
            with its:
                socket.send_fds(self._worker, [b"x"], [its.fileno()])
            ours.settimeout(ANSWER_SECONDS)
            introduce(ours, session_id, fence, spec, token="")
        except BaseException:
            ours.close()
            raise
        return ours

    def error(self) -> SandboxError:
        """Why there was no way, once it is closed."""
        return error_of("exec", self._said.decode(errors="replace"))

    def close(self) -> None:
        """End all that this process has running in the container. May be called twice."""
        self._worker.close()
        try:
            self._relay.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._relay.kill()
            self._relay.wait()
        if not self._errors.closed:
            self._errors.seek(0)
            self._said = self._errors.read()
            self._errors.close()
