"""python -m tests.browser.screenshots FOLDER: a picture of each page in both themes, for the README and the docs."""

import sys
import tempfile
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from bridge.dev.embedded import EmbeddedStores
from bridge.postgres.migrations import migrate_up
from tests.browser.chromium import DESKTOP, PHONE, Tab, missing, new_driver
from tests.support.rows import Rows
from tests.support.running_stores import running_stores
from tests.support.web import SECRET, WebProcess

PAGES = {
    "overview": "/",
    "queues": "/queues",
    "dead-letters": "/dead",
    "jobs": "/jobs?q=queue:reports",
    "job": "/jobs/{job}",
    "workers": "/workers",
    "session": "/sessions/{session}",
}
ON_A_PHONE = {"overview", "job", "session"}
_OUTPUT = "$ pytest -q\n\x1b[32m12 passed\x1b[0m, \x1b[31m1 failed\x1b[0m in 3.2 s\n"
_QUESTION, _CHOICES = "Shall people stay logged in?", ["For a day", "For a month", "No"]
_CONVERSATION: list[tuple[str, dict[str, Any]]] = [
    ("turn_started", {"turn": 1, "agent": "claude", "prompt": "Add a login page with a password, and a test."}),
    ("text", {"message": 1, "offset": 0, "text": "I look at how pages are made here, then I add one."}),
    ("tool_started", {"callId": "b", "tool": "edit", "input": {"path": "pages/login.py"}}),
    ("file_change", {"path": "pages/login.py", "added": 3, "removed": 1, "diff": (
        "@@ -1,2 +1,4 @@\n from pages import page\n-# to do: a login\n+@page('/login')\n+def login(form):\n"
        "+    return check(form.email, form.password)\n")}),
    ("tool_finished", {"callId": "b", "tool": "edit", "content": "pages/login.py is changed."}),
    ("tool_started", {"callId": "c", "tool": "bash", "input": {"command": "pytest -q"}}),
    ("terminal", {"callId": "c", "offset": 0, "output": "\x1b[32m13 passed\x1b[0m in 3.2 s\n"}),
    ("tool_finished", {"callId": "c", "tool": "bash", "content": ""}),
    ("progress", {"done": 2, "total": 3, "items": [
        {"text": "the page", "status": "done"}, {"text": "its test", "status": "done"},
        {"text": "the cookie", "status": "doing"}]}),
    ("question", {"callId": "d", "text": _QUESTION, "choices": _CHOICES}),
]  # fmt: skip
_JOB = """
    INSERT INTO coding_jobs (actor, queue, status, created_at, completed_at, error_message)
    SELECT %(actor)s, %(queue)s, %(status)s, now() - %(age)s * interval '1 s',
           CASE WHEN %(status)s <> 'pending' THEN now() - %(age)s * interval '0.5 s' END, %(error)s"""
_WORKER = """
    INSERT INTO workers (id, name, slots, queues, actors, version, started_at, lease_expires_at)
    SELECT gen_random_uuid(), 'build-' || n || ':4711', 8, '{reports,mail,coding}',
           '{build_report,send_mail,resize_image,run_coding_session}', '1.0',
           now() - interval '3 h', now() + interval '1 h'
    FROM generate_series(1, 2) AS n"""
# The row of the queue '' says that the minute was recorded.
_HISTORY = """
    INSERT INTO queue_history (seconds, at, queue, inserted, started, completed, failed_attempts, retried, failed)
    SELECT 60, date_trunc('minute', now()) - n * interval '1 min', queue, k * (40 + n % 7), k * (38 + n % 9),
           k * (36 + n % 11), k * (n % 4), k * (n % 4), k * (n % 13 = 0)::int
    FROM generate_series(1, 60) AS n, (VALUES ('', 0), ('reports', 1), ('mail', 1)) AS q (queue, k)"""
_LATENCIES = """
    INSERT INTO latency_history (seconds, at, queue, stage, bucket, attempts)
    SELECT 60, date_trunc('minute', now()) - n * interval '1 min', queue, stage,
           first + b + (n % 5 = 0)::int, 20 - 3 * b
    FROM generate_series(1, 60) AS n, generate_series(0, 6) AS b,
         unnest(ARRAY['reports', 'mail']) AS queue,
         (VALUES ('claim', 8), ('hand_over', 6), ('start', 10), ('wait', 12), ('run', 20)) AS s (stage, first)"""


def main(folder: Path) -> None:
    if without := missing():
        sys.exit(f"Screenshots need {without}: run scripts/install-browser.sh")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, running_stores(Path(scratch) / "stores") as stores:
        migrate_up(stores.postgres.url())
        _take_all(folder, stores, Path(scratch))


def _job(number: int) -> dict[str, Any]:
    status = ("completed", "completed", "completed", "failed", "pending")[number % 5]
    return {
        "actor": ("build_report", "send_mail", "resize_image")[number % 3],
        "queue": ("reports", "mail")[number % 2],
        "status": status,
        "age": number * (0.1 if status == "pending" else 120),
        "error": f"TimeoutError: no answer after {number} s" if status == "failed" else None,
    }


def _take_all(folder: Path, stores: EmbeddedStores, scratch: Path) -> None:
    with psycopg.connect(stores.postgres.url(), autocommit=True) as connection:
        job, session = _fill(Rows(connection)), _converse(Rows(connection))
    web = WebProcess(stores.postgres.url(), stores.redis.url, SECRET, scratch)
    driver = new_driver()
    tab = Tab(driver, f"http://127.0.0.1:{web.address[1]}")
    try:
        for name, path in PAGES.items():
            for theme in ("light", "dark"):
                for kind, size in (("", DESKTOP), ("-phone", PHONE)):
                    if not kind or name in ON_A_PHONE:
                        tab.open(path.format(job=job, session=session), size=size, theme=theme)
                        tab.wait_until_complete()
                        if "live-state" in driver.page_source:
                            tab.wait_for("#live-state", "Live")
                        driver.save_screenshot(str(folder / f"{name}-{theme}{kind}.png"))
    finally:
        driver.quit()
        web.end()


def _fill(rows: Rows) -> Any:
    """What a small team's afternoon leaves; returns the job whose page is shown."""
    session = rows.add_session(initial_prompt="Add a login page")
    for number in range(1, 60):
        rows.all(_JOB, _job(number))
    rows.all(_WORKER)
    rows.all(_HISTORY)
    rows.all(_LATENCIES)
    for text in (_OUTPUT, "$ git commit -m 'Add a login page'\n[main 3f1c9aa] Add a login page\n"):
        rows.all(
            "INSERT INTO session_events (session_id, event_type, data) VALUES (%s, 'terminal', %s)",
            [session, Jsonb({"output": text})],
        )
    return rows.add_job(
        session_id=session, status="failed", prompt="Add a login page with e-mail and password, and a test.",
        error_message="ScriptFailedError: a block ended with exit code 1", completed_at="now",
    )  # fmt: skip


def _converse(rows: Rows) -> UUID:
    """A coding session that has asked a question; returns its id."""
    session = rows.add_session(user_id=UUID(int=0xA11CE), status="paused", initial_prompt=_CONVERSATION[0][1]["prompt"])
    rows.all(
        "INSERT INTO session_events (session_id, event_type, data) SELECT %s, kind, data"
        " FROM unnest(%s::text[], %s::jsonb[]) AS e (kind, data)",
        [session, [kind for kind, _ in _CONVERSATION], [Jsonb(data) for _, data in _CONVERSATION]],
    )
    rows.all(
        "INSERT INTO session_turns (session_id, turn, job_id, fence, state, question)"
        " VALUES (%s, 1, gen_random_uuid(), 1, 'asked', %s)",
        [session, Jsonb({"question": _QUESTION, "choices": _CHOICES, "callId": "d"})],
    )
    rows.all(
        "INSERT INTO session_requests (id, session_id, turn, job_id, fence, reserved_usd, cost_usd, input_tokens,"
        " output_tokens) VALUES (gen_random_uuid(), %s, 1, gen_random_uuid(), 1, 0, 0.0312, 9120, 431)",
        [session],
    )
    return session


if __name__ == "__main__":
    main(Path(sys.argv[1]))
