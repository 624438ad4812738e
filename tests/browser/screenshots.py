"""python -m tests.browser.screenshots FOLDER: a picture of each page in both themes, for the README and the docs."""

import sys
import tempfile
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from bridge.dev.embedded import EmbeddedStores
from bridge.postgres.migrations import migrate_up
from tests.browser.chromium import DESKTOP, PHONE, Tab, missing, new_driver
from tests.support.rows import Rows
from tests.support.web import SECRET, WebProcess

PAGES = {
    "overview": "/",
    "queues": "/queues",
    "dead-letters": "/dead",
    "jobs": "/jobs?q=queue:reports",
    "job": "/jobs/{job}",
    "workers": "/workers",
}
ON_A_PHONE = {"overview", "job"}
_OUTPUT = "$ pytest -q\n\x1b[32m12 passed\x1b[0m, \x1b[31m1 failed\x1b[0m in 3.2 s\n"
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
         (VALUES ('wait', 12), ('run', 20)) AS s (stage, first)"""


def main(folder: Path) -> None:
    if without := missing():
        sys.exit(f"Screenshots need {without}: run scripts/install-browser.sh")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        stores = EmbeddedStores(Path(scratch) / "stores")
        stores.open_folder()
        stores.start()
        try:
            migrate_up(stores.postgres.url())
            _take_all(folder, stores, Path(scratch))
        finally:
            stores.stop()


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
        job = _fill(Rows(connection))
    web = WebProcess(stores.postgres.url(), stores.redis.url, SECRET, scratch)
    driver = new_driver()
    tab = Tab(driver, f"http://127.0.0.1:{web.address[1]}")
    try:
        for name, path in PAGES.items():
            for theme in ("light", "dark"):
                for kind, size in (("", DESKTOP), ("-phone", PHONE)):
                    if not kind or name in ON_A_PHONE:
                        tab.open(path.format(job=job), size=size, theme=theme)
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


if __name__ == "__main__":
    main(Path(sys.argv[1]))
