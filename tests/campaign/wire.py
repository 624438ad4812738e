"""The requests of a client, parsed from its bytes as far as needed to choose the reply that gets lost."""

import struct
from typing import Protocol

_REQUEST_CODES = {80877102, 80877103, 80877104}  # cancel, TLS, GSS: no protocol version follows
_LENGTH = 4
READY = b"Z\x00\x00\x00\x05"  # ReadyForQuery, then one byte with the state of the transaction


class Reader(Protocol):
    """One connection's requests."""

    name: str  # the client's name, if the protocol has it

    def asked(self, data: bytes) -> list[str]:
        """The texts of the requests that `data` completes."""

    def is_whole(self, reply: bytes) -> bool:
        """Whether the reply that ends with these bytes is over: what it answers is done then, and committed."""


class RedisReader:
    """Requests are taken as the chunks they come in: our clients send one command, or pipeline, at a time."""

    name = "redis"

    def asked(self, data: bytes) -> list[str]:
        return [data.decode("latin-1")]

    def is_whole(self, reply: bytes) -> bool:
        return reply.endswith(b"\r\n")


class PostgresReader:
    """Splits a frontend's stream into messages, and messages into batches that end with Sync or Query.

    A prepared statement is parsed once and bound by its name from then on, so the names are kept.
    """

    def __init__(self) -> None:
        self.name = "postgres"
        self._buffer = b""
        self._started = False
        self._statements: dict[bytes, str] = {}
        self._texts: list[str] = []

    def asked(self, data: bytes) -> list[str]:
        self._buffer += data
        batches = []
        while (message := self._next()) is not None:
            kind, body = message
            if kind == b"P":
                name, _, rest = body.partition(b"\0")
                text = rest.partition(b"\0")[0].decode("utf-8", "replace")
                self._statements[name] = text
                self._texts.append(text)
            elif kind == b"B":
                self._texts.append(self._statements.get(body.split(b"\0", 2)[1], ""))
            elif kind == b"Q":
                batches.append(body.rstrip(b"\0").decode("utf-8", "replace"))
            elif kind == b"S":
                batches.append("\n".join(self._texts))
                self._texts = []
        return batches

    def is_whole(self, reply: bytes) -> bool:
        return reply[-6:-1] == READY

    def _next(self) -> tuple[bytes, bytes] | None:
        head = 1 if self._started else 0
        if len(self._buffer) < head + _LENGTH:
            return None
        (length,) = struct.unpack_from("!I", self._buffer, head)
        if len(self._buffer) < head + length:
            return None
        kind, body = self._buffer[:head], self._buffer[head + _LENGTH : head + length]
        self._buffer = self._buffer[head + length :]
        if not self._started:
            self._open(body)
        return kind, body

    def _open(self, body: bytes) -> None:
        (code,) = struct.unpack_from("!I", body)
        if code not in _REQUEST_CODES:
            self._started = True
            words = body[_LENGTH:].split(b"\0")
            options = dict(zip(words[::2], words[1::2], strict=False))
            self.name = options.get(b"application_name", b"postgres").decode("utf-8", "replace")
