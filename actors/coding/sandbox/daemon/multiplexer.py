"""Many connections over one pair of pipes. Both ends run this; standard library only.

A frame has a kind, the number of its connection and a size. A side may send as much of a connection as the other has
given it credit for: so one that nobody reads keeps none of the others waiting, and fills no memory.
"""

import contextlib
import os
import selectors
import socket
import struct
from collections.abc import Callable

OPEN, DATA, CREDIT, END = range(4)  # kinds of frames. CREDIT: the size is how much more may come; nothing follows
FRAME = struct.Struct(">BII")
WINDOW_BYTES = 256 * 1024  # of one connection on their way: some milliseconds of a fast network
CHUNK_BYTES = 64 * 1024  # at a time: a pipe holds as much
OPEN_AT_ONCE = 256  # connections that the other side may open: its proxy takes 64, and calls are few


class Broken(Exception):  # noqa: N818 -- it is the end, not always an error
    """The other side has gone, or says what no side of ours says."""


class Channel:
    """One connection: a socket here, and what is on its way to it."""

    def __init__(self, peer: socket.socket) -> None:
        peer.setblocking(False)
        self.peer = peer
        self.unsent = bytearray()
        self.credit = WINDOW_BYTES
        self.has_said_end = self.has_heard_end = False

    @property
    def is_over(self) -> bool:
        return self.has_said_end and self.has_heard_end and not self.unsent

    @property
    def events(self) -> int:
        reads = self.credit > 0 and not self.has_said_end
        return (selectors.EVENT_READ if reads else 0) | (selectors.EVENT_WRITE if self.unsent else 0)

    def receive(self) -> bytes | None:
        """What the socket has to say. Empty: it has ended. None: nothing so far."""
        try:
            data = self.peer.recv(min(CHUNK_BYTES, self.credit))
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        self.credit -= len(data)
        self.has_said_end = not data
        return data

    def send(self) -> int:
        """Give the socket what it takes. Returns how much room that made; to one that has gone, all is dropped."""
        try:
            sent = self.peer.send(self.unsent)
        except BlockingIOError:
            return 0
        except OSError:
            sent = len(self.unsent)
        del self.unsent[:sent]
        self.finish()
        return sent

    def finish(self) -> None:
        if self.has_heard_end and not self.unsent:
            with contextlib.suppress(OSError):
                self.peer.shutdown(socket.SHUT_WR)


class Multiplexer:
    """`opened` gives the socket for each connection that the other side opens. Numbers of the two sides differ."""

    def __init__(self, read: int, write: int, *, opened: Callable[[], socket.socket], is_first: bool) -> None:
        self._read, self._write, self._opened = read, write, opened
        self._next = 0 if is_first else 1
        self._theirs = 1 - self._next
        self._channels: dict[int, Channel] = {}
        self._received, self._unsent = bytearray(), bytearray()
        self._writes = False
        self._selector = selectors.DefaultSelector()
        for pipe in (read, write):
            os.set_blocking(pipe, False)
        self._selector.register(read, selectors.EVENT_READ, self._take)

    def watch(self, source: socket.socket, take: Callable[[], socket.socket]) -> None:
        """Open a connection for each socket that `take` returns, which is called when there is one."""
        self._selector.register(source, selectors.EVENT_READ, lambda: self._open(take()))

    def run(self) -> None:
        """Pass on, until the other side ends, or a source raises Broken. Then all connections end."""
        with contextlib.suppress(Broken):
            while True:
                for key, events in self._selector.select():
                    if isinstance(key.data, int):
                        self._pass_on(key.data, events)
                    else:
                        key.data()
                self._flush()
        for channel in self._channels.values():
            channel.peer.close()
        self._selector.close()

    def _open(self, peer: socket.socket) -> None:
        number, self._next = self._next, self._next + 2
        self._say(OPEN, number)
        self._add(number, peer)

    def _add(self, number: int, peer: socket.socket) -> None:
        self._channels[number] = Channel(peer)
        self._watch_again(number, 0)

    def _pass_on(self, number: int, events: int) -> None:
        channel = self._channels.get(number)
        if channel is None:  # it has ended by what the other side said meanwhile
            return
        before = channel.events
        if events & selectors.EVENT_READ:
            data = channel.receive()
            if data is not None:
                self._say(DATA if data else END, number, data)
        if events & selectors.EVENT_WRITE and (room := channel.send()):
            self._say(CREDIT, number, size=room)
        self._watch_again(number, before)

    def _watch_again(self, number: int, before: int) -> None:
        """Wait for what the connection waits for now."""
        channel = self._channels[number]
        events = channel.events
        if before and not events:
            self._selector.unregister(channel.peer)
        elif events and not before:
            self._selector.register(channel.peer, events, number)
        elif events != before:
            self._selector.modify(channel.peer, events, number)
        if channel.is_over:
            channel.peer.close()
            del self._channels[number]

    def _take(self) -> None:
        """Take what has come from the other side."""
        try:
            data = os.read(self._read, CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            raise Broken from error
        if not data:
            raise Broken
        self._received += data
        while len(self._received) >= FRAME.size:
            kind, number, size = FRAME.unpack_from(self._received)
            if kind > END or (kind == DATA and size > CHUNK_BYTES):
                raise Broken
            end = FRAME.size + (size if kind == DATA else 0)
            if len(self._received) < end:
                return
            body = bytes(self._received[FRAME.size : end])
            del self._received[:end]
            self._hear(kind, number, size, body)

    def _hear(self, kind: int, number: int, size: int, body: bytes) -> None:
        channel = self._channels.get(number)
        if kind == OPEN:
            if channel or number % 2 != self._theirs or len(self._channels) >= OPEN_AT_ONCE:
                raise Broken
            self._add(number, self._opened())
        elif channel is not None:  # else it is over here: a last credit was on its way
            before = channel.events
            if kind == DATA:
                channel.unsent += body
            elif kind == CREDIT:
                channel.credit += size
            else:
                channel.has_heard_end = True
                channel.finish()
            if len(channel.unsent) > WINDOW_BYTES:
                raise Broken
            self._watch_again(number, before)

    def _say(self, kind: int, number: int, data: bytes = b"", *, size: int | None = None) -> None:
        self._unsent += FRAME.pack(kind, number, len(data) if size is None else size) + data

    def _flush(self) -> None:
        """Write what the pipe takes; the rest goes when it takes more."""
        try:
            while self._unsent:
                del self._unsent[: os.write(self._write, self._unsent[:CHUNK_BYTES])]
        except BlockingIOError:
            pass
        except OSError as error:
            raise Broken from error
        if bool(self._unsent) != self._writes:
            self._writes = not self._writes
            if self._writes:
                self._selector.register(self._write, selectors.EVENT_WRITE, lambda: None)
            else:
                self._selector.unregister(self._write)
