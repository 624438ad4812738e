"""A client of the web process: what it returns, and that a closed port raises no error."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from bridge.dev.embedded.server import pick_port
from bridge.dev.up.web_process import WebProcess

Answers = dict[str, tuple[int, Any]]


@pytest.fixture
def answers() -> Answers:
    return {"/readyz": (200, {}), "/stats": (200, {"workers": {"workers": 1}})}


@pytest.fixture
def web(answers: Answers) -> Iterator[WebProcess]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers[self.path]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(201)
            self.end_headers()
            self.wfile.write(json.dumps({"sent": sent, "by": self.headers["Authorization"]}).encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield WebProcess(server.server_port)
        server.shutdown()
        thread.join()


def test_it_is_up_when_it_is_ready_and_a_worker_is_alive(web: WebProcess, answers: Answers) -> None:
    assert web.is_up()

    answers["/stats"] = (200, {"workers": {"workers": 0}})
    assert not web.is_up()
    answers["/stats"] = (503, {"error": "Postgres is unavailable"})
    assert not web.is_up()
    answers["/stats"], answers["/readyz"] = (200, {"workers": {"workers": 1}}), (503, {})
    assert not web.is_up()


def test_a_request_carries_its_token(web: WebProcess) -> None:
    assert web.ask("/order", {"n": 1}, "a-token") == (201, {"sent": {"n": 1}, "by": "Bearer a-token"})


def test_an_http_error_is_an_answer_and_a_page_or_a_closed_port_is_none(web: WebProcess, answers: Answers) -> None:
    answers["/refused"], answers["/page"] = (404, {"error": "no"}), (200, b"<html>")

    assert web.ask("/refused") == (404, {"error": "no"})
    assert web.ask("/page") == (0, {})
    assert WebProcess(pick_port()).ask("/readyz") == (0, {})
