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
    "jobs": "/jobs?q=queue:reports",
    "job": "/jobs/{job}",
    "workers": "/workers",
    "settings": "/settings",
}
_OUTPUT = "$ pytest -q\n\x1b[32m12 passed\x1b[0m, \x1b[31m1 failed\x1b[0m in 3.2 s\n"
_JOB = """
    INSERT INTO coding_jobs (actor, queue, status, created_at, completed_at, error_message)
    SELECT %(actor)s, %(queue)s, %(status)s, now() - %(minutes)s * interval '2 min',
           CASE WHEN %(status)s <> 'pending' THEN now() - %(minutes)s * interval '1 min' END, %(error)s"""


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
        "minutes": number,
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
                    tab.open(path.format(job=job), size=size, theme=theme)
                    tab.wait_until_complete()
                    driver.save_screenshot(str(folder / f"{name}-{theme}{kind}.png"))
    finally:
        driver.quit()
        web.end()


def _fill(rows: Rows) -> Any:
    """What a small team's afternoon leaves; returns the job whose page is shown."""
    session = rows.add_session(initial_prompt="Add a login page")
    for number in range(1, 60):
        rows.all(_JOB, _job(number))
    for text in (_OUTPUT, "$ git commit -m 'Add a login page'\n[main 3f1c9aa] Add a login page\n"):
        rows.all(
            "INSERT INTO session_events (session_id, event_type, data) VALUES (%s, 'terminal', %s)",
            [session, Jsonb({"output": text})],
        )
    return rows.add_job(
        session_id=session, status="failed", prompt="Add a login page with e-mail and password, and a test.",
        error_message="ScriptFailedError: a block ended with exit code 1",
    )  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]))
