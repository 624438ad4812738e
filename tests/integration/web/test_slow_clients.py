"""Clients that send slowly, or do not read their answer, delay no others.

Rows of docs/reference/security.md: S20.
"""

import socket
import threading
import time
from pathlib import Path
from uuid import uuid4

from bridge.web.asgi import THREADS
from tests.support.rows import Rows
from tests.support.waiting import eventually
from tests.support.web import REQUEST_SECONDS, SECRET, WebProcess, bearer, say

LIVEZ = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
START = b"POST /functions/v1/start-coding-session HTTP/1.1\r\nHost: x\r\n"


def test_half_requests_do_not_block_others(web: WebProcess) -> None:
    """With more half requests than threads, some of which get another byte now and then, others are still served."""
    stop = threading.Event()
    held = [web.connect() for _ in range(THREADS + 4)]
    halves = (b"GET /health HT", START + bearer() + b"Content-Length: 100\r\n\r\n{", b"\x16\x03\x01")
    for n, connection in enumerate(held):
        connection.sendall(halves[n % 3])

    def trickle() -> None:
        while not stop.wait(1.0):
            for connection in held[:6]:
                try:
                    connection.sendall(b" ")
                except OSError:
                    continue

    feeder = threading.Thread(target=trickle)
    feeder.start()
    try:
        began = time.monotonic()
        status, _ = web.say(
            b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", seconds=REQUEST_SECONDS + 10
        )
        assert status == 200
        assert time.monotonic() - began < REQUEST_SECONDS + 5
        for half in held[:2]:  # a head, and a body
            half.settimeout(REQUEST_SECONDS + 5)
            assert half.recv(100).startswith(b"HTTP/1.1 408 ")
    finally:
        stop.set()
        feeder.join(5)
        for connection in held:
            connection.close()
    assert "Traceback" not in web.log


def test_a_request_is_answered_once_though_its_body_never_comes(web: WebProcess) -> None:
    with web.connect() as connection:
        connection.sendall(START + b"Content-Length: 9\r\n\r\n")
        connection.settimeout(REQUEST_SECONDS + 5)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert answer.count(b"HTTP/1.1 ") == 1


def asked(web: WebProcess, request: bytes) -> socket.socket:
    """A connection with little room for an answer, and a request on it."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    connection.settimeout(60)
    connection.connect(web.address)
    connection.sendall(request)
    return connection


def has_the_long_answer(held: list[socket.socket], n: int, web: WebProcess, request: bytes) -> bool:
    """Whether the answer is that of success. Asks anew otherwise: 503, where Postgres was too slow for so many."""
    try:
        begun = held[n].recv(12, socket.MSG_PEEK)  # takes nothing from it
    except ConnectionResetError:  # it had a long answer: a short one is sent whole, and nobody waits for its reader
        return True
    if begun == b"HTTP/1.1 503":
        held[n].close()
        held[n] = asked(web, request)
        return False
    assert begun == b"HTTP/1.1 200"
    return True


def test_a_client_that_does_not_read_its_answer_is_disconnected(web: WebProcess, rows: Rows) -> None:
    user = uuid4()
    session = rows.add_session(user_id=user)
    rows.all(
        "INSERT INTO session_events (session_id, event_type, data)"
        " SELECT %s, 'terminal', jsonb_build_object('text', repeat('x', 8000)) FROM generate_series(1, 600)",
        [session],
    )
    head = b"GET /functions/v1/get-session-status?sessionId=%b HTTP/1.1\r\nHost: x\r\n" % str(session).encode()
    request = head + bearer(user) + b"\r\n"
    held = [asked(web, request) for _ in range(THREADS)]
    status, _ = web.say(LIVEZ, seconds=REQUEST_SECONDS + 10)
    for n in range(THREADS):
        eventually(lambda: has_the_long_answer(held, n, web, request), seconds=60, what="a long answer")  # noqa: B023
    eventually(
        lambda: web.log.count("the client does not read its answer") == THREADS, seconds=60,
        what="connections that are closed",
    )  # fmt: skip

    for connection in held:
        connection.close()
    assert status == 200
    assert "Traceback" not in web.log


def test_connections_beyond_the_limit_are_refused_and_the_others_are_served(
    dsn: str, redis_url: str, tmp_path: Path
) -> None:
    web = WebProcess(dsn, redis_url, SECRET, tmp_path, connections_most=5)
    held = [web.connect() for _ in range(5)]
    try:
        assert say(held[0], LIVEZ, 10)[0] == 200  # so all of them have been accepted
        assert web.say(b"")[0] == 503
        assert [say(connection, LIVEZ, 10)[0] for connection in held] == [200] * 5
        for connection in held:
            connection.close()
        eventually(lambda: web.say(LIVEZ)[0] == 200, seconds=10, what="a connection that is accepted")
    finally:
        web.end()
