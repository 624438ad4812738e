"""Readers of streams of sessions, as the app's clients are, and what many of them cost a web process."""

import re
import resource
import selectors
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self
from uuid import UUID, uuid4

from bench.numbers import percentiles
from bench.sessions_world import Figure, World

_EVENT = re.compile(rb"id: (\d+)\ndata: (.*?)\n\n", re.DOTALL)
_OPEN_SECONDS = 60.0
_FILES = 4096
_EVENTS_PER_SECOND = 50


class Readers:
    """One stream for each session that is named, all read by one thread. `arrivals`: number and epoch seconds."""

    def __init__(self, port: int, sessions: Sequence[UUID]) -> None:
        self._selector = selectors.DefaultSelector()
        self.arrivals: list[tuple[int, float]] = []
        self.stamped: list[float] = []
        self.completions, self.opened, self.refused = 0, 0, 0
        self._is_closed = False
        self._sockets = []
        for session in sessions:
            one = socket.create_connection(("127.0.0.1", port), timeout=30)
            one.sendall(f"GET /sessions/{session}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            self._selector.register(one, selectors.EVENT_READ, bytearray())
            self._sockets.append(one)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self.began_at = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        World.until(lambda: self.opened + self.refused >= len(self._sockets), "streams that are open")
        self.began_at = time.time()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._is_closed = True
        self._thread.join()
        for one in self._sockets:
            one.close()

    def _read(self) -> None:
        while not self._is_closed:
            for key, _ in self._selector.select(timeout=0.1):
                received = key.fileobj.recv(262_144)  # type: ignore[union-attr]  # sockets are all that is registered
                if not received:
                    self._selector.unregister(key.fileobj)
                self._note(key.data, received)

    def _note(self, buffer: bytearray, received: bytes) -> None:
        now = time.time()
        if not buffer:
            self.opened += received.startswith(b"HTTP/1.1 200")
            self.refused += not received.startswith(b"HTTP/1.1 200")
        buffer += received
        end = 1  # so that it is known to have begun
        for found in _EVENT.finditer(buffer):
            self.arrivals.append((int(found[1]), now))
            self.completions += b'"completion"' in found[2]
            if stamp := re.search(rb'"sent":([\d.]+)', found[2]):
                self.stamped.append(now - float(stamp[1]))
            end = found.end()
        del buffer[: max(end - 1, 0)]


def many_streams(world: World, count: int, seconds: float) -> Iterator[Figure]:
    """So many streams, each of a session of its own, while events come for some of them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(_FILES, hard), hard))
    sessions = [uuid4() for _ in range(count)]
    world.database.execute("INSERT INTO coding_sessions (id) SELECT unnest(%s::uuid[])", [sessions])
    with Readers(world.port, sessions) as readers:
        deadline = time.monotonic() + seconds
        sent = 0
        while time.monotonic() < deadline:
            world.database.execute(
                "INSERT INTO session_events (session_id, event_type, data) VALUES (%s, 'text', jsonb_build_object("
                "'sent', %s::float8))",
                [sessions[sent % count], time.time()],
            )
            sent += 1
            time.sleep(1 / _EVENTS_PER_SECOND)
        World.until(lambda: len(readers.stamped) >= min(sent, sent - readers.refused), "the last event")
        memory = world.web().memory_info().rss / 1e6
    note = f"{readers.opened} open, {readers.refused} refused, {sent} events"
    late = percentiles(one * 1000 for one in readers.stamped).p95 if not readers.refused else None
    yield Figure(f"{count:,} streams of one web process, p95", late, 300, "ms", note)
    yield Figure(f"{count:,} streams of one web process, RSS", memory, 300, "MB", note)
