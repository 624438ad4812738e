"""Valid and invalid requests, each with the statuses that may answer it."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_from_bytes
from uuid import UUID

from tests.fuzz.bad_values import NASTY, any_bytes, any_uuid, any_value, as_json, flipped, not_json

START = "/functions/v1/start-coding-session"
STATUS = "/functions/v1/get-session-status"
PAGES = (
    "/readyz", "/stats", "/metrics", "/", "/jobs", "/dead", "/bulk", "/sessions", "/queues", "/workers", "/settings",
    "/static/index.css", "/api/jobs", "/api/queues", "/api/workers",
)  # fmt: skip
PATHS = (START, STATUS, *PAGES)
_METHODS = ("PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "PROPFIND", "\x7f")
_HEADERS = (
    "Accept", "Accept-Encoding", "Range", "If-Match", "If-None-Match", "If-Modified-Since", "Host", "Cookie", "Origin",
    "Referer", "X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "Content-Type", "Upgrade", "TE",
    "X-Http-Method-Override",
)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """A request. `allowed`: the statuses that may answer it; the sessions API may also answer 401 to a bad token."""

    kind: str
    method: str
    path: bytes  # as percent codes stand for
    allowed: frozenset[int]
    query: str = ""
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    chunked: bool = False


class RequestSource:
    """Makes requests, with one good Authorization value or one of many bad ones."""

    def __init__(self, dice: random.Random, good_token: str, bad_tokens: tuple[str, ...]) -> None:
        self._dice = dice
        self._good = good_token
        self._bad = bad_tokens
        self.sessions: list[UUID] = []  # of ours, so far
        self.projects: dict[UUID, str] = {}  # of good requests: the prompt that came with it
        self._makers: tuple[tuple[int, Callable[[], Request]], ...] = (
            (6, self._good_start), (14, self._not_json), (6, self._no_object), (8, self._unknown_field),
            (9, self._bad_project), (12, self._bad_prompt), (1, self._too_large), (2, self._compressed),
            (12, self._flipped), (8, self._bad_token), (5, self._wrong_method), (2, self._good_status),
            (6, self._bad_status), (6, self._path), (3, self._page),
        )  # fmt: skip

    def next(self) -> Request:
        weights, makers = zip(*self._makers, strict=True)
        maker: Callable[[], Request] = self._dice.choices(makers, weights)[0]
        return maker()

    def _start(self, kind: str, body: bytes, *allowed: int, **headers: str) -> Request:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Request(
            kind, "POST", START.encode(), frozenset(allowed), "", body, {"Authorization": self._good} | named,
            chunked=self._dice.random() < 0.1,
        )  # fmt: skip

    def _prompt(self) -> str:
        size = self._dice.choice((10, 11, 60, 400, 5000))
        letters = self._dice.choices(
            ("a", "ü", "\n", '"', "\\", "\u202e", "\U0001f600", "%", "\x1b", "</script>"), k=size
        )
        return ("x" * 10 + "".join(letters))[:size]

    def _fields(self) -> dict[str, Any]:
        project, prompt = any_uuid(self._dice), self._prompt()
        self.projects[project] = prompt
        return {"projectId": str(project), "prompt": prompt}

    def _good_start(self) -> Request:
        text = json.dumps(
            self._fields(), ensure_ascii=self._dice.random() < 0.5, indent=self._dice.choice((None, 1, 9))
        )
        kind = self._dice.choice(("application/json", "text/plain", "application/json; charset=nonsense", ""))
        return self._start("start: good", text.encode(), 201, Content_Type=kind)

    def _not_json(self) -> Request:
        good = as_json(self._fields())
        if self._dice.random() < 0.2:
            field = self._dice.choice((b"NaN", b"-Infinity", b'"a","prompt":"b"'))
            return self._start("start: not JSON", b'{"prompt":' + field + b"}", 400)
        return self._start("start: not JSON", not_json(self._dice, good), 400)

    def _no_object(self) -> Request:
        value = any_value(self._dice)
        return self._start("start: not an object", as_json([value] if isinstance(value, dict) else value), 400, 413)

    def _unknown_field(self) -> Request:
        names = ("status", "max_retries", "priority", "user_id", "actor", "queue", "ProjectId", "prompt ", *NASTY[:27])
        fields = self._fields() | {self._dice.choice(names): self._dice.choice((1, "x", None, [], {}))}
        return self._start("start: unknown field", as_json(fields), 422)

    def _bad_project(self) -> Request:
        good = str(any_uuid(self._dice))
        bad = (None, 7, True, [good], {"id": good}, good[:-1], good + "0", f"{{{good}}}", good.replace("-", ""),
        f" {good}",
               f"urn:uuid:{good}", good + "\n", good.replace(good[0], "\u0661"), *NASTY[:27])  # fmt: skip
        fields = {"projectId": self._dice.choice(bad), "prompt": self._prompt()}
        if self._dice.random() < 0.1:
            del fields["projectId"]
        return self._start("start: bad project", as_json(fields), 422)

    def _bad_prompt(self) -> Request:
        text = self._prompt()
        bad = (None, 7, 1.5, True, [text], {"a": text}, "short", " " * 50, "\u2003\n" * 50, text[:5], "x" * 5001,
        "é" * 6000,
               text[:4000] + "\x00", text[:4000] + "\ud800", "\udfff" + text[:4000])  # fmt: skip
        fields = {"projectId": str(any_uuid(self._dice)), "prompt": self._dice.choice(bad)}
        if self._dice.random() < 0.1:
            del fields["prompt"]
        return self._start("start: bad prompt", as_json(fields), 422)

    def _too_large(self) -> Request:
        return self._start("start: too large", as_json(self._fields()) + b" " * self._dice.choice((70_000, 10**6)), 413)

    def _compressed(self) -> Request:
        coding = self._dice.choice(("gzip", "br", "deflate, gzip", "x"))
        return self._start("start: compressed", any_bytes(self._dice), 415, Content_Encoding=coding)

    def _flipped(self) -> Request:
        return self._start("start: bytes flipped", flipped(self._dice, as_json(self._fields())), 201, 400, 422)

    def _bad_token(self) -> Request:
        headers = {} if self._dice.random() < 0.2 else {"Authorization": self._dice.choice(self._bad)}
        if self._dice.random() < 0.7:
            return Request("token: bad", "POST", START.encode(), frozenset({401}), "", as_json(self._fields()), headers)
        query = f"sessionId={any_uuid(self._dice)}"
        return Request("token: bad", "GET", STATUS.encode(), frozenset({401}), query, b"", headers)

    def _wrong_method(self) -> Request:
        path = self._dice.choice(PATHS)
        wrong = self._dice.choice((*_METHODS, "GET" if path == START else "POST"))
        return Request("method: wrong", wrong, path.encode(), frozenset({405}), headers={"Authorization": self._good})

    def _good_status(self) -> Request:
        if not self.sessions:
            return self._bad_status()
        query = f"sessionId={self._dice.choice(self.sessions)}"
        return Request(
            "status: good", "GET", STATUS.encode(), frozenset({200}), query, headers={"Authorization": self._good}
        )

    def _bad_status(self) -> Request:
        query, allowed = self._dice.choice(
            (
                (f"sessionId={any_uuid(self._dice)}", 404),
                ("", 400),
                ("sessionId=", 400),
                ("sessionid=1", 400),
                (f"sessionId={quote_from_bytes(b'!' + any_bytes(self._dice))}", 400),
                (f"sessionId={any_uuid(self._dice)}%00", 400),
                ("&".join(f"sessionId={n}" for n in range(300)), 400),
                ("sessionId=%", 400),
                ("sessionId=\xff\xfe", 400),
            )
        )
        return Request(
            "status: bad id", "GET", STATUS.encode(), frozenset({allowed}), query, headers={"Authorization": self._good}
        )

    def _path(self) -> Request:
        path = self._dice.choice(
            (
                b"/" + any_bytes(self._dice, 60).replace(b"\n", b"") + b"!",
                b"/static/"
                + self._dice.choice((b"../../etc/passwd", b"..%2f..%2fetc/passwd", b"\x00", b"a" * 5000, b".")),
                b"/static/../sessions.py",
                START.encode() + b"/",
                b"/functions/v1/" + self._dice.choice(NASTY[1:27]).encode("utf-8", "replace") + b"!",
                b"/health.json",
                b"*!",
            )
        )
        return Request("path: unknown", self._dice.choice(("GET", "POST", "HEAD")), path, frozenset({404, 405}))

    def _page(self) -> Request:
        names = self._dice.sample(_HEADERS, self._dice.randrange(5))
        values = (
            "*",
            "bytes=5-1",
            "bytes=999999-",
            '"x"',
            "a/b;q=zz",
            "\xff\xfe",
            "[::1]:99999",
            ",,,;;;===",
            "a" * 4000,
        )
        headers = {name: self._dice.choice(values) for name in names}
        allowed = frozenset({200, 206, 304, 400, 403, 412, 416})  # 403: another name of this machine
        return Request("page: odd headers", "GET", self._dice.choice(PAGES).encode(), allowed, self._dice.choice(("",
        "%&=&&=\xff")),
                     headers=headers)  # fmt: skip
