"""Requests for the real web app, which is called as its server would call it."""

import io
import json
import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
from flask import Flask

from bridge.settings import Settings
from bridge.web.app import create_app
from bridge.web.tokens import make_token
from tests.fuzz.bad_values import any_uuid
from tests.fuzz.http_requests import START, Request, RequestSource
from tests.fuzz.tally import Tally, check_log
from tests.fuzz.tokens import bad_tokens

_NOT_JSON = (
    "/", "/jobs", "/dead", "/bulk", "/sessions", "/queues", "/workers", "/settings", "/metrics", "/static/index.css",
)  # fmt: skip


def fuzz_app(settings: Settings, secrets: tuple[str, ...], count: int, seed: int) -> Tally:
    """Send `count` requests, one after the other. Returns the tally."""
    dice = random.Random(seed)
    assert settings.supabase_jwt_secret is not None
    secret = settings.supabase_jwt_secret.get_secret_value()
    user = any_uuid(dice)
    token = make_token(user, secret, timedelta(hours=2))
    source = RequestSource(dice, f"Bearer {token}", bad_tokens(secret))
    app = create_app(settings.model_copy(update={"open_sessions_per_user": 100_000}))
    tally = Tally()
    made: dict[UUID, Request] = {}
    with _logged() as log:
        for _ in range(count):
            request = source.next()
            status, kind, body = _call(app, request)
            tally.note(request.kind, accepted=status < 400)
            for problem in _problems(request, status, kind, body, (*secrets, token)):
                tally.violate(
                    request.kind,
                    f"{problem}: {request.method} {request.path[:80]!r} {request.body[:200]!r} {request.query[:80]!r}",
                )
            if status == 201 and request.path == START.encode():
                data = json.loads(body)["data"]
                made[UUID(data["jobId"])] = request
                source.sessions.append(UUID(data["sessionId"]))
    app.extensions["mobvibe"].pool.close()
    check_log(tally, "web process", log.getvalue(), (*secrets, token))
    _check_rows(tally, settings.postgres_dsn(), user, made)
    return tally


@contextmanager
def _logged() -> Iterator[io.StringIO]:
    """Collects everything that is logged meanwhile, tracebacks included."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield stream
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


def _call(app: Flask, request: Request) -> tuple[int, str, bytes]:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method, "SCRIPT_NAME": "", "PATH_INFO": request.path.decode("latin-1"),
        "QUERY_STRING": request.query, "SERVER_NAME": "localhost", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True, "wsgi.multiprocess": False, "wsgi.run_once": False, "wsgi.input_terminated": True,
    }  # fmt: skip
    if request.chunked:
        environ["HTTP_TRANSFER_ENCODING"] = "chunked"
    elif request.body:
        environ["CONTENT_LENGTH"] = str(len(request.body))
    for name, value in request.headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
    answer: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _error: Any = None, /) -> Callable[[bytes], object]:
        answer[:] = [status, dict(headers)]
        return answer.append

    try:
        chunks = app(environ, start_response)
        body = b"".join(chunks)
        if hasattr(chunks, "close"):
            chunks.close()
    except Exception as error:  # noqa: BLE001 -- what the server would meet
        return 599, "", f"{type(error).__name__}: {error}".encode()
    return int(answer[0][:3]), answer[1].get("Content-Type", ""), body


def _problems(request: Request, status: int, kind: str, body: bytes, secrets: tuple[str, ...]) -> Iterator[str]:
    if status not in request.allowed:
        yield f"{status} where {sorted(request.allowed)} is allowed, {body[:200]!r}"
    if b"Traceback" in body or any(secret.encode() in body for secret in secrets):
        yield "the answer holds a stack or a secret"
    page = request.path.decode("latin-1")
    if request.method == "HEAD" or (status < 400 and page in _NOT_JSON) or status in (304, 412):
        return
    try:
        answer = json.loads(body)
    except ValueError:
        yield f"{status} with a body that is no JSON ({kind}): {body[:100]!r}"
        return
    if status >= 400 and (answer.get("success") is not False or not isinstance(answer.get("error"), str)):
        yield f"{status} says {body[:100]!r}"


def _check_rows(tally: Tally, dsn: str, user: UUID, made: dict[UUID, Request]) -> None:
    """Check that each accepted request made a session and a job with its prompt, and that no other made rows."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT j.id, j.prompt, s.initial_prompt, s.project_id, j.status, j.actor"
            " FROM coding_jobs j JOIN coding_sessions s ON s.id = j.session_id WHERE s.user_id = %s",
            [user],
        ).fetchall()
        jobs = connection.execute("SELECT count(*) FROM coding_jobs").fetchall()[0][0]
        sessions = connection.execute("SELECT count(*) FROM coding_sessions").fetchall()[0][0]
    if {row[0] for row in rows} != made.keys() or not jobs == sessions == len(made):
        tally.violate(
            "rows",
            f"{len(made)} requests were accepted, {len(rows)} are theirs of {jobs} jobs, {sessions} sessions",
        )
    for job_id, *row in rows:
        if (request := made.get(job_id)) is None:
            continue
        asked = json.loads(request.body)
        wanted = [asked["prompt"], asked["prompt"], UUID(asked["projectId"]), "pending", "run_coding_session"]
        if row != wanted:
            tally.violate(request.kind, f"the row is {row!r}")
