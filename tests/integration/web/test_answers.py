"""Every kind of answer tells browsers what to refuse.

Rows of docs/reference/security.md: S15.
"""

import pytest

from bridge.web.answers import SECURITY_HEADERS
from tests.support.web import WebProcess


@pytest.mark.parametrize(
    "request_line",
    ["GET /", "GET /livez", "DELETE /livez", "GET /nothing", "GET /stats", "GET /" + "a" * 9000, "GARBAGE"],
)
def test_each_answer_has_the_security_headers(web: WebProcess, request_line: str) -> None:
    with web.connect() as connection:
        connection.sendall(f"{request_line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk

    head = answer.partition(b"\r\n\r\n")[0].decode().lower()
    for name, value in SECURITY_HEADERS.items():
        assert f"{name}: {value}".lower() in head


def test_the_policy_lets_nothing_foreign_or_inline_run_and_nobody_frame_a_page() -> None:
    policy = dict(one.strip().split(" ", 1) for one in SECURITY_HEADERS["Content-Security-Policy"].split(";"))

    assert policy == {
        "default-src": "'self'",  # without 'unsafe-inline' and without hosts: of scripts, styles and images
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    assert (SECURITY_HEADERS["X-Frame-Options"], SECURITY_HEADERS["X-Content-Type-Options"]) == ("DENY", "nosniff")
