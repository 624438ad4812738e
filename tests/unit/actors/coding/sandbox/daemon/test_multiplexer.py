"""Connections over one pair of pipes: bytes, ends, and what a slow or lying side can do."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator

import pytest

from actors.coding.sandbox.daemon.multiplexer import DATA, FRAME, OPEN, WINDOW_BYTES, Multiplexer
from tests.support.waiting import eventually


class Pair:
    """Two multiplexers with pipes between them. `connect` opens at one side; `accepted` are the ends at the other."""

    def __init__(self) -> None:
        (there, to_there), (here, to_here) = os.pipe(), os.pipe()
        self.pipes = [to_there, to_here]
        self.accepted: list[socket.socket] = []
        self._give, taken = socket.socketpair()
        self._sockets = [self._give, taken]
        first = Multiplexer(here, to_there, opened=self._opened, is_first=True)
        first.watch(taken, lambda: socket.socket(fileno=socket.recv_fds(taken, 1, 1)[1][0]))
        second = Multiplexer(there, to_here, opened=self._opened, is_first=False)
        self.threads = [threading.Thread(target=one.run, daemon=True) for one in (first, second)]
        for thread in self.threads:
            thread.start()

    def close(self) -> None:
        for pipe in self.pipes:
            os.close(pipe)
        for thread in self.threads:
            thread.join()
        for one in self._sockets:
            one.close()

    def _opened(self) -> socket.socket:
        ours, its = socket.socketpair()
        ours.settimeout(5)
        self.accepted.append(ours)
        self._sockets.append(ours)
        return its

    def connect(self) -> tuple[socket.socket, socket.socket]:
        """Both ends of a new connection."""
        ours, its = socket.socketpair()
        ours.settimeout(5)
        self._sockets.append(ours)
        socket.send_fds(self._give, [b"x"], [its.fileno()])
        its.close()
        ours.sendall(b"?")
        eventually(lambda: self.accepted)
        other = self.accepted.pop()
        assert other.recv(1) == b"?"
        return ours, other


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.close()


def taken(peer: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := peer.recv(65536)):
        data += more
    return data


def test_bytes_arrive_both_ways_in_order(pair: Pair) -> None:
    one, other = pair.connect()
    data = os.urandom(3_000_000)

    writer = threading.Thread(target=one.sendall, args=(data,))
    writer.start()
    assert taken(other, len(data)) == data
    writer.join()
    other.sendall(b"answer")
    assert taken(one, 6) == b"answer"


def test_what_was_sent_before_the_end_arrives_and_the_other_way_stays_open(pair: Pair) -> None:
    one, other = pair.connect()
    one.sendall(b"x" * 100_000)
    one.shutdown(socket.SHUT_WR)

    assert len(taken(other, 200_000)) == 100_000
    other.sendall(b"late")
    other.close()
    assert taken(one, 100) == b"late"


def test_a_connection_that_nobody_reads_keeps_none_waiting_and_fills_no_memory(pair: Pair) -> None:
    full, _ = pair.connect()
    full.settimeout(0.5)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < 100_000_000:
            sent += full.send(b"x" * 65536)
    assert sent < 4 * WINDOW_BYTES + 2_000_000, "the window, and the buffers of two sockets"

    one, other = pair.connect()
    one.sendall(b"hello")
    assert taken(other, 5) == b"hello"


def test_the_end_of_one_side_that_goes_on_receiving_is_no_end_of_the_others(pair: Pair) -> None:
    one, other = pair.connect()
    one.close()
    for _ in range(100):
        try:
            other.sendall(b"x" * 100_000)
        except OSError:
            break

    again, there = pair.connect()
    again.sendall(b"hello")
    assert taken(there, 5) == b"hello"


@pytest.mark.parametrize(
    "lie",
    [
        FRAME.pack(OPEN, 0, 0),  # a number of our own
        FRAME.pack(OPEN, 1, 0) * 2,
        FRAME.pack(OPEN, 1, 0) + FRAME.pack(DATA, 1, 65537),
        FRAME.pack(OPEN, 1, 0) + (FRAME.pack(DATA, 1, 65536) + b"x" * 65536) * 20,
        FRAME.pack(9, 1, 0),
        b"".join(FRAME.pack(OPEN, number, 0) for number in range(1, 1000, 2)),
    ],
    ids=["our number", "twice", "large", "more than its credit", "kind", "many"],
)
def test_a_side_that_lies_is_left(lie: bytes) -> None:
    (read, write), (_, own) = os.pipe(), os.pipe()
    kept: list[socket.socket] = []

    def opened() -> socket.socket:
        ours, its = socket.socketpair()
        kept.append(its)
        return ours

    side = threading.Thread(target=Multiplexer(read, own, opened=opened, is_first=True).run, daemon=True)
    side.start()
    writer = threading.Thread(target=_write, args=(write, lie))
    writer.start()

    side.join(5)
    assert not side.is_alive()
    os.close(read)
    writer.join()
    os.close(write)
    for one in kept:
        one.close()


def test_the_end_of_the_pipe_is_the_end_of_all(pair: Pair) -> None:
    one, other = pair.connect()
    for end in (one, other):
        os.close(pair.pipes.pop())
        assert end.recv(1) == b""


def _write(pipe: int, data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(pipe, data)
