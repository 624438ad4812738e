"""A fake Messages API: scripted replies, streamed as the real one streams them, with its faults and its refusals.

Which reply answers is decided by what a request holds, never by a counter: a resumed conversation gets the same answer
again, whoever asks, as often as it asks. By itself: `python -m tests.support.fake_anthropic --port 8090 script.json`,
where the script is a list of objects with the fields of `Reply`; it prints its address, and answers `GET /count` with
the number of requests for messages so far.
"""

import contextlib
import json
import select
import socket
import sys
import threading
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self, cast

from tests.support.message_rules import broken_rule
from tests.support.scripted_replies import Event, Refused, Reply, events

DEMONSTRATION = [
    Reply([{"text": "I look around first."}, {"tool": "bash", "input": {"command": "ls -a"}}]),
    Reply([{"tool": "edit", "input": {"path": "greeting.txt", "new": "Hello\n"}}]),
    Reply([{"text": "greeting.txt says hello."}]),
]


@dataclass(frozen=True)
class Request:
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    at: float = field(default_factory=time.monotonic)


class FakeAnthropic(ThreadingHTTPServer):
    """`with FakeAnthropic(replies) as fake: fake.url`; `fake.requests` is what was asked, in order."""

    daemon_threads = True

    def __init__(
        self, replies: Sequence[Reply], *, key: str | None = None, port: int = 0, keeps_requests: bool = True
    ) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.count, self._counting, self._keeps_requests = 0, threading.Lock(), keeps_requests
        self.replies, self.key = replies, key
        self.requests: list[Request] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._tries: Counter[int] = Counter()

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,), name="fake anthropic", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a client that was killed
            super().handle_error(*_)  # type: ignore[arg-type]

    def note(self, request: Request) -> None:
        with self._counting:
            self.count += request.path.startswith("/v1/messages")
        if self._keeps_requests:
            self.requests.append(request)

    def reply_to(self, body: Mapping[str, Any]) -> tuple[Reply, int, int]:
        """The reply, its place in the conversation, and how often it was asked for, this time included."""
        number = sum(message["role"] == "assistant" for message in body["messages"])
        last = json.dumps(body["messages"][-1]["content"], ensure_ascii=False)
        plain = [reply for reply in self.replies if reply.when is None]
        chosen = next((reply for reply in self.replies if reply.when and reply.when in last), None)
        reply = chosen or plain[min(number, len(plain) - 1)]
        self._tries[id(reply)] += 1
        return reply, number, self._tries[id(reply)]


class _Handler(BaseHTTPRequestHandler):
    server: FakeAnthropic
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        text = str(self.server.count).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        received = self.rfile.read(length)
        if len(received) < length:  # its sender was killed
            return
        body = json.loads(received or b"{}")
        self.server.note(Request(self.path, dict(self.headers), body))
        if not self.path.startswith("/v1/messages"):
            self._refuse(Refused(404, "not_found_error", self.path))
        elif self.server.key and self.server.key not in self._keys():
            self._refuse(Refused(401, "authentication_error", "invalid x-api-key"))
        elif problem := broken_rule(body):
            self._refuse(Refused(400, "invalid_request_error", problem))
        else:
            self._answer(body)

    def _keys(self) -> tuple[str | None, str]:
        """Clients send the key in one of two headers, older ones in the first."""
        return self.headers.get("x-api-key"), self.headers.get("authorization", "").removeprefix("Bearer ")

    def _answer(self, body: Mapping[str, Any]) -> None:
        reply, number, tried = self.server.reply_to(body)
        if tried <= len(reply.refused):
            return self._refuse(reply.refused[tried - 1])
        if tried > max(reply.faulty, len(reply.refused)):
            reply = Reply(**{**vars(reply), "cut_after": None, "error_after": None, "silent_after": None})
        with contextlib.suppress(ConnectionError):
            self._stream(reply, number, body.get("model", "fake"))
        return None

    def _stream(self, reply: Reply, number: int, model: str) -> None:
        if reply.silent_after == -1:
            return self._wait_for_hang_up()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("request-id", f"req_{number:04}")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        due = time.monotonic()
        for place, event in enumerate(events(reply, number, model)):
            if place == reply.cut_after:
                return self._hang_up()
            if place == reply.silent_after:
                return self._wait_for_hang_up()
            if reply.error_after and place == reply.error_after[0]:
                self._send({"type": "error", "error": {"type": reply.error_after[1], "message": "as scripted"}})
                break
            if event["type"] == "content_block_delta":
                due += reply.delay
                time.sleep(max(0.0, due - time.monotonic()))
            self._send(_stamped(event) if reply.stamped else event)
        self.wfile.write(b"0\r\n\r\n")
        return None

    def _send(self, event: Event) -> None:
        text = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
        self.wfile.write(f"{len(text):x}\r\n".encode() + text + b"\r\n")

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _wait_for_hang_up(self) -> None:
        self.close_connection = True
        select.select([self.connection], [], [], 120)

    def _refuse(self, refused: Refused) -> None:
        error = {"type": refused.type, "message": refused.message}
        text = json.dumps({"type": "error", "error": error, "request_id": "req_fake"}).encode()
        self.send_response(refused.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        for name, value in refused.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)


def _stamped(event: Event) -> Event:
    if event["type"] == "content_block_delta" and event["delta"]["type"] == "text_delta":
        return {**event, "delta": {**event["delta"], "text": f"{time.monotonic():.6f} "}}
    return event


def main() -> None:
    parser = ArgumentParser(prog="python -m tests.support.fake_anthropic")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--key", help="refuse requests with another key")
    parser.add_argument("script", nargs="?", type=Path, help="a JSON file: a list of replies")
    chosen = parser.parse_args()
    replies = _read(chosen.script) if chosen.script else DEMONSTRATION
    with FakeAnthropic(replies, key=chosen.key, port=chosen.port, keeps_requests=False) as fake:
        print(fake.url, flush=True)  # noqa: T201 -- its output
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


def _read(script: Path) -> list[Reply]:
    return [
        Reply(**{**one, "refused": [Refused(**refused) for refused in one.get("refused", ())]})
        for one in cast("list[dict[str, Any]]", json.loads(script.read_text()))
    ]


if __name__ == "__main__":
    main()
