"""How a worker begins a connection to a host: see host.py, which answers."""

import socket
from dataclasses import asdict
from uuid import UUID

from actors.coding.sandbox.base import CallRefusedError, SandboxError, Spec
from actors.coding.sandbox.daemon.protocol import message, take_message


def introduce(connection: socket.socket, session_id: UUID, fence: int, spec: Spec | None, *, token: str) -> None:
    """Make it one to the daemon. With `spec` the sandbox is obtained before, else it must be there.

    Raises CallRefusedError, SandboxError; OSError when the connection ends.
    """
    hello = {
        "token": token,
        "session": str(session_id),
        "fence": fence,
        "spec": None if spec is None else asdict(spec),
    }
    connection.sendall(message(hello))
    received = bytearray()
    while (answer := take_message(received)) is None:
        data = connection.recv(1)  # what follows is the daemon's
        if not data:
            raise ConnectionResetError("the host has closed the connection")
        received += data
    if "error" in answer[0]:
        kind = CallRefusedError if answer[0]["error"] == "refused" else SandboxError
        raise kind(answer[0]["message"])
