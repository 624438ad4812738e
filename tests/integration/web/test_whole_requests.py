"""Requests that break HTTP's rules or our limits never reach a page, and are answered in JSON.

Rows of docs/reference/security.md: S21.
"""

import json
from collections.abc import Callable
from uuid import uuid4

import pytest

from tests.support.web import WebProcess, bearer

START = b"POST /functions/v1/start-coding-session HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (lambda: b"GARBAGE\r\n\r\n", 400),
        (lambda: b"GET /health\r\n\r\n", 400),
        (lambda: b"GET /health HTTP/9.9\r\n\r\n", 400),
        (lambda: b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (lambda: b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", 431),
        (lambda: b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 100 + b"\r\n", 431),
        (lambda: b"GET /health HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\n\r\n", 417),
        (lambda: START + b"Transfer-Encoding: gzip\r\n\r\n", 501),
        (lambda: START + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (lambda: START + bearer() + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\nabc\r\n0\r\n\r\n", 400),
        (lambda: START + bearer() + b"Content-Length: 70000\r\n\r\n" + b" " * 70_000, 413),
        (
            lambda: START + bearer() + b"Transfer-Encoding: chunked\r\n\r\n" + b"4000\r\n%b\r\n" % (b" " * 0x4000) * 9,
            413,
        ),
    ],
)
def test_an_invalid_request_is_refused_in_json(web: WebProcess, sent: Callable[[], bytes], status: int) -> None:
    answered, body = web.say(sent())

    assert (answered, json.loads(body)["success"]) == (status, False)
    assert "Traceback" not in web.log


@pytest.mark.steady_redis
def test_a_client_that_closes_its_side_after_the_request_is_answered(web: WebProcess) -> None:
    status, body = web.say(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n", end_of_data=True)

    assert (status, json.loads(body)["status"]) == (200, "ready")


def test_a_body_in_chunks_is_read(web: WebProcess) -> None:
    body = json.dumps({"projectId": str(uuid4()), "prompt": "a prompt that is long enough"}).encode()
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:20], body[20:])) + b"0\r\n\r\n"

    status, answer = web.say(START + bearer() + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)

    assert (status, json.loads(answer)["success"]) == (201, True)
