"""What Claude Code takes for the Messages API: a server on the loopback address.

It asks nobody by itself. A request waits here until the turn's thread takes it, asks the model and answers it: key,
budgets, tries and record are there. When the worker dies the gateway is gone, and nothing asks the API.
"""

import hmac
import json
import logging
import secrets
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, SimpleQueue
from typing import Any, Self

logger = logging.getLogger(__name__)

_LARGEST = 64 * 1024 * 1024  # bytes of a request: the API takes 32 MB


class Request:
    """A request of Claude Code. `betas`: the features that its header asks for."""

    def __init__(self, body: dict[str, Any], betas: str | None) -> None:
        self.body, self.betas = body, betas
        self._answer: SimpleQueue[bytes | None] = SimpleQueue()

    def answer(self, stream: bytes | None) -> None:
        """A whole stream of events; None: none comes any more."""
        self._answer.put(stream)

    def wait(self) -> bytes | None:
        return self._answer.get()


class Gateway(ThreadingHTTPServer):
    """`with Gateway() as gateway`: takes requests until then. `count`: how many it has taken."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.token = secrets.token_urlsafe()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.count = 0
        self._requests: SimpleQueue[Request | None] = SimpleQueue()
        self._taken: list[Request] = []
        self._is_closed = False

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, name="gateway", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closed = True
        with socket.create_connection(self.server_address[:2]):  # type: ignore[arg-type]  # an address of IPv4
            pass  # wakes the thread that waits for connections
        for request in [*self._taken]:
            request.answer(None)

    def take(self, seconds: float) -> Request | None:
        """The next request. None: there is none in this time, or `wake` was called."""
        try:
            return self._requests.get(timeout=max(0.0, seconds))
        except Empty:
            return None

    def wake(self) -> None:
        """Thread-safe."""
        self._requests.put(None)

    def put(self, request: Request) -> None:
        self._taken.append(request)
        self.count += 1
        self._requests.put(request)
        if self._is_closed:  # meanwhile
            request.answer(None)

    def handle_error(self, *_: object) -> None:
        logger.debug("A connection of Claude Code broke: %s", sys.exc_info()[1])

    def _serve(self) -> None:
        while not self._is_closed:
            self.handle_request()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Gateway
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        if not self._has_token():
            return self._refuse(401, "authentication_error")
        length = int(self.headers.get("content-length") or 0)
        if self.path.partition("?")[0] != "/v1/messages" or not 0 < length <= _LARGEST:
            return self._refuse(404, "not_found_error")
        body = json.loads(self.rfile.read(length))
        if not body.get("tools"):  # a title for the conversation, say: nobody has asked for one
            return self._refuse(404, "not_found_error")
        request = Request(body, self.headers.get("anthropic-beta"))
        self.server.put(request)
        return self._answer(request.wait())

    def _has_token(self) -> bool:
        given = self.headers.get("x-api-key") or self.headers.get("authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(given.encode(), self.server.token.encode())

    def _answer(self, stream: bytes | None) -> None:
        if stream is None:
            self.close_connection = True
        else:
            self._send(200, "text/event-stream; charset=utf-8", stream)

    def _refuse(self, status: int, kind: str) -> None:
        self.close_connection = True  # its body was not read
        error = {"type": "error", "error": {"type": kind, "message": "not here"}}
        self._send(status, "application/json", json.dumps(error).encode())

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
