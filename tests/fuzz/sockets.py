"""Raw bytes for the real web process, over its socket, as no HTTP library would send them."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg

from bridge.settings import Settings
from bridge.web.tokens import make_token
from tests.fuzz.bad_values import any_bytes, any_uuid, as_json, flipped
from tests.fuzz.http_requests import START, STATUS
from tests.fuzz.tally import Tally, check_log
from tests.support.web import WebProcess

_SECONDS = 15.0  # more than a request may take


@dataclass(frozen=True)
class RawRequest:
    """Bytes to send. `allowed`: the statuses that may come back; 0 means that the connection was closed."""

    kind: str
    data: bytes
    allowed: frozenset[int]
    fields: dict[str, str] | None = None  # of a request that must be accepted


class RawRequestSource:
    def __init__(self, dice: random.Random, token: str) -> None:
        self._dice = dice
        self._token = token
        self._makers: tuple[Callable[[], RawRequest], ...] = (
            self._good, self._garbage, self._line, self._header, self._many_headers, self._length, self._chunks,
            self._endless_chunks, self._flipped, self._smuggled,
        )  # fmt: skip

    def next(self) -> RawRequest:
        return self._dice.choice(self._makers)()

    def _head(self, *lines: str, method: str = "POST", path: str = START) -> bytes:
        head = (
            f"{method} {path} HTTP/1.1",
            "Host: x",
            f"Authorization: Bearer {self._token}",
            "Connection: close",
            *lines,
        )
        return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n"

    def _good(self) -> RawRequest:
        fields = {"projectId": str(any_uuid(self._dice)), "prompt": "a prompt that is long enough"}
        body = as_json(fields)
        if self._dice.random() < 0.5:
            return RawRequest("good", self._head(f"Content-Length: {len(body)}") + body, frozenset({201}), fields)
        cut = self._dice.randrange(1, len(body))
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:cut], body[cut:]))
        return RawRequest(
            "good", self._head("Transfer-Encoding: chunked") + chunks + b"0\r\n\r\n", frozenset({201}), fields
        )

    def _garbage(self) -> RawRequest:
        starts = (
            b"\x16\x03\x01\x02\x00\x01\x00",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"*1\r\n$4\r\nPING\r\n",
            b"\x00",
            b"SSH-2.0-x\r\n",
            b"\r\n\r\n",
        )
        data = self._dice.choice(starts) + any_bytes(self._dice, 500) + b"\r\n\r\n"
        return RawRequest("garbage", data, frozenset({0, 400, 414, 431}))

    def _line(self) -> RawRequest:
        line = self._dice.choice((
            b"GET /health", b"GET /health HTTP/9.9", b"GET  /health  HTTP/1.1", b"G\x00T / HTTP/1.1",
            b"GET /\x00 HTTP/1.1",
            b"get /health HTTP/1.1", b"GET / HTTP/1.1 HTTP/1.1", b"GET /" + b"a" * 9000 + b" HTTP/1.1",
            b"\x80ET / HTTP/1.1",
            b" GET / HTTP/1.1", b"GET\t/\tHTTP/1.1", b"A" * 300 + b" / HTTP/1.1", b"GET / HTTP/1.1\r",
            b"GET / http/1.1"))  # fmt: skip
        return RawRequest("request line", line + b"\r\nHost: x\r\n\r\n", frozenset({400, 404, 405, 414}))

    def _header(self) -> RawRequest:
        line = self._dice.choice((
            b"X" * 9000 + b": y", b"X: " + b"y" * 70_000, b"X \t: y", b": y", b"X", b"X\x00: y", b"X: a\x00b",
            b"\xff: y", b" X: y",
            b"X: a\rb", b"Content-Length: -1", b"Content-Length: 0x10", b"Content-Length: +5",
            b"Content-Length: 1, 2", b"Content-Length: " + b"9" * 40,
            b"Transfer-Encoding: gzip", b"Transfer-Encoding: x, chunked", b"Transfer-Encoding: chunked, chunked",
            b"Expect: miracles",
        ))  # fmt: skip
        data = b"GET /health HTTP/1.1\r\nHost: x\r\n" + line + b"\r\nConnection: close\r\n\r\n"
        # /health reads no body, so a Content-Length without a body only affects the next request.
        return RawRequest("header", data, frozenset({0, 200, 400, 417, 431, 501}))

    def _many_headers(self) -> RawRequest:
        lines = (f"X-{n}: {n}" for n in range(self._dice.choice((101, 2000))))
        return RawRequest("too many headers", self._head(*lines, method="GET", path="/livez"), frozenset({0, 400, 431}))

    def _length(self) -> RawRequest:
        """A body longer than its Content-Length. A shorter one has to time out, and has a test of its own."""
        body = as_json({"projectId": str(any_uuid(self._dice)), "prompt": "a prompt that is long enough"})
        return RawRequest(
            "length too short",
            self._head(f"Content-Length: {self._dice.randrange(len(body))}") + body,
            frozenset({0, 400}),
        )

    def _chunks(self) -> RawRequest:
        bad = (b"ZZ\r\nabc\r\n0\r\n\r\n", b"-1\r\n\r\n", b"3\r\nabcdef\r\n0\r\n\r\n", b"\r\n\r\n",
        b"3;a=b\nabc\r\n0\r\n\r\n",
               b"3" * 40 + b"\r\nabc\r\n", b"0x3\r\nabc\r\n0\r\n\r\n", b"1_0\r\nabc\r\n0\r\n\r\n",
               b"0\r\nX: \x00\r\n\r\n")  # fmt: skip
        return RawRequest(
            "chunks", self._head("Transfer-Encoding: chunked") + self._dice.choice(bad), frozenset({0, 400})
        )

    def _endless_chunks(self) -> RawRequest:
        data = self._head("Transfer-Encoding: chunked") + (b"4000\r\n" + b" " * 0x4000 + b"\r\n") * 20
        return RawRequest("chunks without end", data, frozenset({0, 413}))

    def _flipped(self) -> RawRequest:
        good = self._head(method="GET", path="/livez")
        return RawRequest(
            "bytes flipped",
            flipped(self._dice, good) + b"\r\n\r\n",
            frozenset({0, 200, 400, 404, 405, 413, 414, 417, 431}),
        )

    def _smuggled(self) -> RawRequest:
        inner = b"GET " + STATUS.encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n"
        lines = self._dice.choice((
            (f"Content-Length: {len(inner)}", "Transfer-Encoding: chunked"), ("Transfer-Encoding: chunked",
            "Content-Length: 4"),
            ("Content-Length: 4", "Content-Length: 5"), ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
            ("Transfer-Encoding:\x0bchunked",), ("Transfer-Encoding : chunked",), ("Content_Length: 3",
            "Content-Length: 0")))  # fmt: skip
        return RawRequest("smuggled", self._head(*lines) + b"0\r\n\r\n" + inner, frozenset({0, 400, 501}))


def fuzz_server(settings: Settings, secrets: tuple[str, ...], folder: Path, count: int, seed: int) -> Tally:
    """Start a web process, send it `count` requests, and stop it. Returns the tally."""
    dice = random.Random(seed)
    assert settings.supabase_jwt_secret is not None
    secret, dsn = settings.supabase_jwt_secret.get_secret_value(), settings.postgres_dsn()
    token = make_token(any_uuid(dice), secret, timedelta(hours=2))
    source = RawRequestSource(dice, token)
    tally = Tally()
    web = WebProcess(dsn, settings.redis_address(), secret, folder, OPEN_SESSIONS_PER_USER="100000")
    made: list[tuple[str, dict[str, str]]] = []
    try:
        for _ in range(count):
            request = source.next()
            status, body = web.say(request.data, _SECONDS, end_of_data=True)
            tally.note(f"socket: {request.kind}", accepted=0 < status < 400)
            if status not in request.allowed:
                tally.violate(f"socket: {request.kind}", f"{status} {body[:150]!r} for {request.data[:300]!r}")
            elif status >= 400 and json.loads(body)["success"] is not False:
                tally.violate(f"socket: {request.kind}", f"{status} says {body[:150]!r}")
            elif request.fields is not None:
                made.append((json.loads(body)["data"]["jobId"], request.fields))
        if web.say(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")[0] != 200 or not web.is_alive:
            tally.violate("web process", "it does not serve any more")
    finally:
        web.end()
    check_log(tally, "web process", web.log, (*secrets, token))
    if not all(map(_is_json_line, web.log.splitlines())):
        tally.violate("log of the web process", "a line is no JSON object")
    with psycopg.connect(dsn) as connection:
        rows: dict[str, str] = dict(
            connection.execute(
                "SELECT id::text, prompt FROM coding_jobs WHERE id = ANY (%s)", [[j for j, _ in made]]
            ).fetchall()
        )
    for job_id, fields in made:
        if rows.get(job_id) != fields["prompt"]:
            tally.violate("socket: good", f"job {job_id} is not there")
    return tally


def _is_json_line(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
