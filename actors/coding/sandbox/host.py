"""What runs in a machine or container that holds sandboxes: starts their daemons, and passes connections on to them.

Standard library only, as the daemon. A connection begins with a message: `token`, `session`, `fence`, and `spec` if the
sandbox shall be obtained, else it must be there. After the answer it is one to the daemon. Set by variables:
MOBVIBE_WORKSPACES (a folder), MOBVIBE_PORT, MOBVIBE_TOKEN.
"""

import contextlib
import hmac
import os
import socket
import sys
import threading
from pathlib import Path
from uuid import UUID

from actors.coding.sandbox.base import CallRefusedError, SandboxError, Spec
from actors.coding.sandbox.daemon.protocol import Json, message, take_message
from actors.coding.sandbox.daemon.proxy import relay
from actors.coding.sandbox.local import LocalProvider

HELLO_SECONDS = 10.0  # for the first message: a worker sends it at once
READ_BYTES = 64 * 1024  # the first message is smaller
HELLO_BYTES = 256 * 1024  # it lists some hosts at most


def main() -> None:
    provider = LocalProvider(Path(os.environ["MOBVIBE_WORKSPACES"]))
    try:
        provider.check()
    except SandboxError as error:
        sys.exit(f"mobvibe: {error}")
    host = Host(provider, os.environ["MOBVIBE_TOKEN"])
    with _listener(int(os.environ["MOBVIBE_PORT"])) as listener:
        while True:
            client, _ = listener.accept()
            threading.Thread(target=host.serve, args=(client,), daemon=True).start()


class Host:
    def __init__(self, provider: LocalProvider, token: str) -> None:
        self._provider = provider
        self._token = token

    def serve(self, client: socket.socket) -> None:
        with (
            contextlib.suppress(OSError, ValueError, LookupError, TypeError),
            client,
        ):  # it has gone, or is none of ours
            client.settimeout(HELLO_SECONDS)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            received = bytearray()
            while (first := take_message(received)) is None:
                data = client.recv(READ_BYTES)
                received += data
                if not data or len(received) > HELLO_BYTES:
                    return
            daemon, answer = self._daemon(first[0])
            client.sendall(message(answer))
            if daemon is not None:
                client.settimeout(None)
                with daemon:
                    daemon.sendall(received)
                    relay(client, daemon, None)

    def _daemon(self, hello: Json) -> tuple[socket.socket | None, Json]:
        """A connection to the daemon, and the answer to the worker."""
        try:
            if not hmac.compare_digest(str(hello["token"]), self._token):
                return None, {"error": "failed", "message": "the token is wrong"}
            session_id, fence = UUID(hello["session"]), int(hello["fence"])
            if hello["spec"] is not None:
                self._provider.obtain(session_id, fence, Spec(**hello["spec"]))
            return self._provider.connect(session_id, fence), {}
        except CallRefusedError as error:
            return None, {"error": "refused", "message": str(error)}
        except (SandboxError, OSError) as error:
            return None, {"error": "failed", "message": str(error)}


def _listener(port: int) -> socket.socket:
    """On all addresses: those of a machine on a private network are its own."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))
