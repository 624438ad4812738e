"""The web process as a whole: its probes answer whatever the pages wait for.

Rows of docs/reference/security.md: S20.
"""

import gzip
import json
import socket
import threading
import urllib.request
from pathlib import Path
from uuid import UUID

import pytest

from bridge.web.asgi import THREADS
from tests.support.web import SECRET, WebProcess


def get(path: str, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/livez", 200), ("GET", "/health", 200), ("GET", "/health?x=1", 200), ("GET", "/stats", 200),
        ("DELETE", "/health", 405), ("POST", "/livez", 405),
        ("GET", "/health/", 404), ("GET", "//health", 404), ("GET", "/livez/x", 404),
    ],
)  # fmt: skip
def test_each_path_has_one_answer_in_json(web: WebProcess, method: str, path: str, status: int) -> None:
    answered, body = web.say(get(path, method))

    assert answered == status
    assert json.loads(body).get("success", True) is (status == 200)
    assert "Traceback" not in web.log


@pytest.mark.parametrize("path", ["/live", f"/sessions/{UUID(int=0)}/events"])
def test_nobody_waits_for_the_head_of_a_stream(web: WebProcess, path: str) -> None:
    assert web.say(get(path, "HEAD"))[0] == 405


def test_large_texts_are_compressed_for_who_can_read_it(web: WebProcess) -> None:
    """Once, as the first load of a page is mostly text."""
    with urllib.request.urlopen(request(web, "/static/vendor/uplot-1.6.32.min.js", "gzip")) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        packed = answer.read()
    with urllib.request.urlopen(request(web, "/static/vendor/uplot-1.6.32.min.js", "identity")) as answer:
        assert answer.headers["Content-Encoding"] is None
        assert gzip.decompress(packed) == answer.read()
    with urllib.request.urlopen(request(web, "/livez", "gzip")) as answer:
        assert answer.headers["Content-Encoding"] is None


def request(web: WebProcess, path: str, encoding: str) -> urllib.request.Request:
    host, port = web.address
    return urllib.request.Request(f"http://{host}:{port}{path}", headers={"Accept-Encoding": encoding})


def test_probes_are_answered_while_all_threads_wait_for_postgres(redis_url: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        web = WebProcess(f"postgresql://127.0.0.1/d?port={silent.getsockname()[1]}", redis_url, SECRET, tmp_path)
        waiting = [threading.Thread(target=web.say, args=(get("/stats"), 2)) for _ in range(2 * THREADS)]
        for thread in waiting:
            thread.start()
        try:
            for path in ("/livez", "/health"):
                assert web.say(get(path), seconds=1)[0] == 200
        finally:
            for thread in waiting:
                thread.join()
            web.end()
