"""A sandbox as an attempt sees it: requests to the daemon, one connection each."""

import hashlib
import json
import select
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, Self

from actors.coding.sandbox.base import CallRefusedError, Exit, OnOutput, SandboxError
from actors.coding.sandbox.daemon.protocol import EXIT, FRAME, STREAMS, message, take_message

ANSWER_SECONDS = 30.0  # for the daemon: it answers at once, unless the drive is very slow
POLL_SECONDS = 0.05  # the longest time in which an interrupt cannot reach the thread that waits for a command
READ_BYTES = 256 * 1024  # at a time: output comes in few steps


class DaemonSandbox:
    """`connect` gives a new connection to the daemon; `check_ours` raises CallRefusedError after a later attempt."""

    def __init__(
        self,
        fence: int,
        connect: Callable[[], socket.socket],
        check_ours: Callable[[], None],
        on_close: Callable[[], None],
    ) -> None:
        self._fence = fence
        self._connect = connect
        self._check_ours = check_ours
        self._on_close = on_close

    def run(
        self,
        call_id: str,
        argv: Sequence[str],
        on_output: OnOutput,
        *,
        seconds: float,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
    ) -> Exit:
        """An interrupt reaches this thread within 50 ms. The command goes on then, until `end` or `close`."""
        call = _name(call_id)
        with _Connection(self._connect, self._check_ours) as daemon:
            order = {"call": call, "argv": list(argv), "seconds": seconds, "environment": dict(environment or {})}
            daemon.ask(self._request("exec", **order), stdin)
            daemon.ask(self._request("follow", call=call, offset=0))
            while True:
                kind, data = daemon.frame()
                if kind == EXIT:
                    ended = json.loads(data)
                    return Exit(code=ended["code"], reason=ended["reason"], output_cut=ended["cut"])
                on_output(STREAMS[kind], data)

    def has(self, call_id: str) -> bool:
        return bool(self._ask("has", call=_name(call_id))[0]["has"])

    def end(self, call_id: str) -> None:
        self._ask("end", call=_name(call_id))

    def read(self, path: str, *, most: int) -> bytes:
        return self._ask("read", path=path, most=most)[1]

    def write(self, path: str, data: bytes) -> None:
        self._ask("write", data, path=path)

    def hello(self) -> None:
        """Raises SandboxError when no daemon of this attempt is there; one of an earlier attempt ends of it."""
        self._ask("hello")

    def close(self) -> None:
        self._on_close()

    def stop(self) -> None:
        """Let the daemon end, with all that runs. The end follows."""
        self._ask("stop")

    def _ask(self, operation: str, body: bytes = b"", **fields: Any) -> tuple[dict[str, Any], bytes]:
        with _Connection(self._connect, self._check_ours) as daemon:
            return daemon.ask(self._request(operation, **fields), body)

    def _request(self, operation: str, **fields: Any) -> dict[str, Any]:
        return {"op": operation, "fence": self._fence, **fields}


class _Connection:
    def __init__(self, connect: Callable[[], socket.socket], check_ours: Callable[[], None]) -> None:
        self._check_ours = check_ours
        self._received = bytearray()
        try:
            self._socket = connect()
        except OSError as error:
            check_ours()
            raise SandboxError(f"the sandbox has ended ({error.strerror or error})") from error
        self._socket.settimeout(ANSWER_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, request: Mapping[str, Any], body: bytes = b"") -> tuple[dict[str, Any], bytes]:
        """The answer to a request. Raises what it says went wrong."""
        try:
            self._socket.sendall(message(dict(request), body))
        except OSError as error:
            self._lose(error)
        while (answer := take_message(self._received)) is None:
            self._receive(ANSWER_SECONDS)
        fields, data = answer
        if "error" in fields:
            raise _error(fields, request)
        return fields, data

    def frame(self) -> tuple[int, bytes]:
        """The next frame of the call that is followed, whenever it comes."""
        while len(self._received) < FRAME.size:
            self._receive(None)
        kind, size = FRAME.unpack_from(self._received)
        end = FRAME.size + size
        while len(self._received) < end:
            self._receive(None)
        data = bytes(self._received[FRAME.size : end])
        del self._received[:end]
        return kind, data

    def _receive(self, seconds: float | None) -> None:
        """Wait for data, in short steps, because an interrupt does not reach a thread that waits in the kernel."""
        left = float("inf") if seconds is None else seconds
        while not select.select([self._socket], [], [], POLL_SECONDS)[0]:
            left -= POLL_SECONDS
            if left < 0:
                raise SandboxError(f"the sandbox has not answered for {seconds:g} s")
        try:
            data = self._socket.recv(READ_BYTES)
        except OSError as error:
            self._lose(error)
        if not data:
            self._lose(None)
        self._received += data

    def _lose(self, error: OSError | None) -> NoReturn:
        """The daemon has ended: because of a later attempt, or for another reason."""
        self._check_ours()
        raise SandboxError("the sandbox has ended while it was used") from error


def _error(fields: Mapping[str, Any], request: Mapping[str, Any]) -> Exception:
    text = str(fields["message"])
    if fields["error"] == "file":
        return OSError(fields["errno"], text, request["path"])  # which is a FileNotFoundError for its number, and so on
    return CallRefusedError(text) if fields["error"] == "refused" else SandboxError(text)


def _name(call_id: str) -> str:
    """A name for its folder, whatever the model's API puts into an id."""
    return hashlib.sha256(call_id.encode()).hexdigest()[:32]
