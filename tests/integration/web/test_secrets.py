"""A secret that a web process knows is in none of its answers, in none of its log lines, and not in its arguments.

Rows of docs/reference/security.md: S18, S19.
"""

from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode
from uuid import uuid4

import psutil
from psycopg.conninfo import conninfo_to_dict

from bridge.web.tokens import make_token
from tests.support.rows import Rows
from tests.support.web import WebProcess

CANARY = "Zq7-canary"
JWT_SECRET, SERVICE_KEY = f"{CANARY}-jwt-secret-of-32-bytes-and-more", f"{CANARY}-service-role-key"
PASSWORD, READER = f"{CANARY}-password", f"{CANARY}-reader"


def everything_said(web: WebProcess, session: str, token: str) -> list[str]:
    """All heads and bodies of answers: good, refused and broken ones, with each kind of proof."""
    said: list[str] = []
    proofs: tuple[dict[str, str], ...] = (
        {}, {"Authorization": f"Bearer {SERVICE_KEY}"}, {"Authorization": f"Bearer {token}x"},
        {"Authorization": f"Basic {PASSWORD}"}, {"Cookie": f"mobvibe={CANARY}"},
    )  # fmt: skip
    pages = (
        "/", "/jobs", "/jobs?q=colour:red", f"/jobs/{uuid4()}", "/dead", "/bulk", "/bulk/1", "/workers",
        "/settings", "/login", "/stats", "/metrics",
        "/jobs/export.csv", f"/sessions/{uuid4()}/archive", "/readyz", "/health",
        "/api/jobs", "/api/workers", "/nothing",
        f"/functions/v1/get-session-status?sessionId={session}",
        f"/sessions/{uuid4()}/events?token={token}",
    )  # fmt: skip
    asked: list[tuple[str, str, dict[str, str], str | None]] = [
        ("GET", page, proof, None) for page in pages for proof in proofs
    ]
    form = urlencode({"user": "admin", "password": PASSWORD, "csrf": "x"})
    asked += [("POST", "/login", {"Content-Type": "application/x-www-form-urlencoded"}, form)]
    asked += [
        ("POST", "/functions/v1/start-coding-session", {"Authorization": f"Bearer {token}"}, f'{{"a": "{READER}"}}')
    ]
    for method, page, headers, body in asked:
        connection = HTTPConnection(*web.address, timeout=10)
        connection.request(method, page, body, {"Accept": "text/html", **headers})
        answer = connection.getresponse()
        said.append(f"{answer.status} {page.partition('?')[0]}\n{answer.headers}\n{answer.read().decode()}")
        connection.close()
    return said


def test_no_secret_is_in_answers_logs_or_arguments(dsn: str, rows: Rows, tmp_path: Path) -> None:
    password = str(conninfo_to_dict(dsn)["password"])
    user = uuid4()
    token = make_token(user, JWT_SECRET, timedelta(minutes=5))
    session = str(rows.add_session(user_id=user))
    web = WebProcess(
        dsn, f"redis://:{CANARY}-redis@127.0.0.1:9/0", JWT_SECRET, tmp_path, LOG_LEVEL="trace",
        SUPABASE_SERVICE_ROLE_KEY=SERVICE_KEY, DASHBOARD_PASSWORD=PASSWORD, DASHBOARD_READER_PASSWORD=READER,
    )  # fmt: skip
    try:
        said = everything_said(web, session, token)
        arguments = [process.cmdline() for process in psutil.Process().children(recursive=True)]
        log = web.log
    finally:
        web.end()

    assert any(answer.startswith("200 /settings") for answer in said)
    for secret in (CANARY, password, token):
        assert [answer for answer in said if secret in answer] == []
        assert [line for line in log.splitlines() if secret in line] == []
        assert secret not in str(arguments)
