"""How the daemon and its clients speak: over a stream socket, a request with its answer after the other.

A request is a line of JSON: `op`, `fence`, what the operation takes, and `bytes`: that many follow the line. An answer
is the same: `error` with `message`, or what was asked for. After the answer to `follow` come frames: a kind, a length,
and that many bytes; the frame of the exit is the last one. Offsets of `follow` count the bytes of frames.
"""

import json
import struct
from typing import Any

Json = dict[str, Any]

STDOUT, STDERR, EXIT = 1, 2, 3  # kinds of frames
STREAMS = {STDOUT: "stdout", STDERR: "stderr"}
FRAME = struct.Struct(">BI")
LINE_BYTES = 4 * 1024 * 1024  # of a request: arguments of a command may have 2 MB together
BODY_BYTES = 256 * 1024 * 1024  # of a file or a standard input: more is no message any more


def message(fields: Json, body: bytes = b"") -> bytes:
    return json.dumps({**fields, "bytes": len(body)}).encode() + b"\n" + body


def frame(kind: int, data: bytes) -> bytes:
    return FRAME.pack(kind, len(data)) + data


def take_message(received: bytearray) -> tuple[Json, bytes] | None:
    """Take the first message out of what was received. None: it is not complete. Raises ValueError."""
    end = received.find(b"\n", 0, LINE_BYTES)
    if end < 0:
        if len(received) >= LINE_BYTES:
            raise ValueError("a line is too long")
        return None
    fields = json.loads(received[:end])
    if not isinstance(fields, dict):
        raise ValueError("a message is an object")
    size = int(fields.get("bytes", 0))
    if not 0 <= size <= BODY_BYTES:
        raise ValueError("a body is too long")
    if len(received) < end + 1 + size:
        return None
    body = bytes(received[end + 1 : end + 1 + size])
    del received[: end + 1 + size]
    return fields, body
