"""The dashboard's login opens the streams of all sessions; without it, only a token does."""

import re
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from bridge.web.tokens import make_token
from tests.support.rows import Rows
from tests.support.web import SECRET, EventStream, WebProcess

TOKEN, COOKIE = 'name="csrf" value="([^"]+)"', "(?i)set-cookie: (mobvibe=[^;]+)"


def logged_in(web: WebProcess) -> bytes:
    """The cookie line of a browser that has logged in."""
    page = _exchange(web, b"GET /login HTTP/1.1\r\n")
    form = f"csrf={_found(TOKEN, page)}&user=admin&password=correct+horse&next=/"
    head = f"POST /login HTTP/1.1\r\nCookie: {_found(COOKIE, page)}\r\n"
    head += f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(form)}\r\n"
    answer = _exchange(web, head.encode(), form.encode())
    return f"Cookie: {_found(COOKIE, answer)}\r\n".encode()


def _exchange(web: WebProcess, head: bytes, body: bytes = b"") -> str:
    with web.connect() as connection:
        connection.sendall(head + b"Host: localhost\r\nConnection: close\r\n\r\n" + body)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer.decode()


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    assert found, text
    return found[1]


def test_a_login_opens_the_streams_of_all_sessions(closed_web: WebProcess, rows: Rows) -> None:
    path = f"/sessions/{rows.add_session()}/events"
    cookie = logged_in(closed_web)

    statuses = []
    tries = (
        b"", cookie, cookie.replace(b"mobvibe=", b"mobvibe=x"), b"Authorization: Bearer x\r\n" + cookie,
        b"Authorization: Basic x\r\n", b"Authorization: Basic x\r\n" + cookie,  # of a proxy before us
    )  # fmt: skip
    for head in tries:
        stream = EventStream(closed_web, path, head)
        statuses.append(stream.status)
        stream.close()

    assert statuses == [401, 200, 401, 401, 401, 200]


def test_in_development_this_machine_may_follow_every_session(web: WebProcess, rows: Rows) -> None:
    stream = EventStream(web, f"/sessions/{rows.add_session()}/events")
    stream.close()

    assert stream.status == 200
    assert "access-control-allow-origin" not in stream.head.lower(), "a foreign page in this browser may not read it"


def test_where_prompts_are_hidden_only_the_sessions_user_follows_it(
    dsn: str, redis_url: str, rows: Rows, tmp_path: Path
) -> None:
    web = WebProcess(dsn, redis_url, SECRET, tmp_path, HIDE_PROMPTS="true")
    try:
        user = uuid4()
        session = rows.add_session(user_id=user)
        head = f"Authorization: Bearer {make_token(user, SECRET, timedelta(minutes=5))}\r\n".encode()
        own, others = (EventStream(web, f"/sessions/{session}/events", sent) for sent in (head, b""))
        own.close()
        others.close()
    finally:
        web.end()

    assert (own.status, others.status) == (200, 403)
