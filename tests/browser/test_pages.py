"""Every page: nothing to complain of for axe and the console, in both themes, on a desk and on a phone.

Rows of docs/reference/security.md: S15.
"""

from uuid import UUID

import pytest
from psycopg.types.json import Jsonb
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import DESKTOP, PHONE, Tab
from tests.support.rows import Rows

PAGES = (
    "/",
    "/jobs",
    "/jobs?q=status:failed",
    "/jobs?q=colour:red",
    "/dead",
    "/bulk",
    "/bulk/1?refresh=off",
    "/bulk/2",
    "/queues",
    "/workers",
    "/settings",
    "/jobs/{job}",
    "/jobs/{none}",
    "/sessions",
    "/sessions/{session}",
    "/sessions/{session}?before=3",
    "/sessions/{none}",
)


@pytest.fixture
def job(rows: Rows) -> UUID:
    """A failed job of a session with events, and some others, with words that are long and words that are hostile."""
    session = rows.add_session(initial_prompt="x")
    rows.all(
        "INSERT INTO session_events (session_id, event_type, data) VALUES (%s, 'terminal', %s)",
        [session, Jsonb({"output": "\x1b[32m3 passed\x1b[0m <b>bold</b> " + "x" * 500})],
    )
    add_conversation(rows, session)
    rows.all("SELECT pause_queue('reports', 'ann', repeat('why', 100)), pause_queue(repeat('q', 200), 'bob')")
    for status in ("pending", "completed", "cancelled"):
        rows.add_job(status=status, queue="a-queue-with-a-long-name-" + "q" * 60, actor="build_report")
    rows.all("INSERT INTO latency_history SELECT 60, now(), queue, 'hand_over', 31, 1 FROM coding_jobs GROUP BY queue")
    failed = rows.add_job(
        status="failed",
        actor="build_" + "a" * 60,
        session_id=session,
        prompt="Add a page " + "y" * 300,
        error_message="<script>alert(1)</script>" * 9,
    )
    rows.all("UPDATE coding_jobs SET completed_at = now() WHERE id = %s", [failed])
    plan = "plan_bulk_operation('retry', 'status:failed', '{\"statuses\": [\"failed\"]}', 'ann', true)"
    rows.all(f"SELECT start_bulk_operation({plan}, 'ann', 'fixed', 5)")
    rows.all(f"SELECT {plan}")
    return failed


def add_conversation(rows: Rows, session: UUID) -> None:
    """An entry of each kind, and a question that is open, with a long word each."""
    word = "w" * 300
    for kind, data in (
        ("turn_started", {"turn": 1, "prompt": word}),
        ("thinking", {"message": 1, "text": word, "offset": 0}),
        ("text", {"message": 1, "text": word, "offset": 0}),
        ("tool_started", {"callId": "a", "tool": "bash", "input": {"command": word}}),
        ("terminal", {"callId": "a", "output": f"\x1b[31m{word}", "offset": 9}),
        ("tool_finished", {"callId": "a", "tool": "bash", "content": "", "isError": True}),
        ("file_change", {"path": word, "added": 1, "removed": 1, "diff": f"@@ -1 +1 @@\n+{word}\n-{word}\n"}),
        ("progress", {"done": 0, "total": 1, "items": [{"text": word, "status": "doing"}]}),
        ("usage", {"inputTokens": 5, "outputTokens": 5, "costUsd": 0.01}),
        ("error", {"message": word}),
        ("completion", {"turn": 1}),
        ("question", {"callId": "q", "text": word, "choices": [word]}),
    ):
        rows.all(
            "INSERT INTO session_events (session_id, event_type, data) VALUES (%s, %s, %s)",
            [session, kind, Jsonb(data)],
        )
    question = {"callId": "q", "question": word, "choices": ["yes", word]}
    rows.all(
        "INSERT INTO session_turns (session_id, turn, job_id, fence, state, question, progress)"
        " VALUES (%s, 1, gen_random_uuid(), 1, 'asked', %s, 0.5)",
        [session, Jsonb(question)],
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_each_page_is_accessible_and_fits(tab: Tab, job: UUID, rows: Rows, size: tuple[int, int], theme: str) -> None:
    session = rows.job(job)["session_id"]
    wrong: list[str] = []
    for page in PAGES:
        path = page.format(job=job, none="00000000-0000-4000-8000-000000000000", session=session)
        tab.open(path, size=size, theme=theme)
        wrong += [f"{page}: {violation}" for violation in tab.violations()]
        if tab.scrolls_sideways:
            wrong.append(f"{page}: scrolls sideways")
        wrong += [f"{page}: {said}" for said in tab.complaints() if "400" not in said and "404" not in said]

    assert wrong == []


def test_the_keyboard_alone_reaches_a_job_and_acts_on_it(tab: Tab, rows: Rows) -> None:
    job_id = rows.add_job(status="failed", actor="build_report")
    tab.open("/")

    tab.press(Keys.TAB, Keys.ENTER)  # the skip link
    assert tab.path.endswith("#main")
    tab.open("/jobs")
    while tab.driver.switch_to.active_element.get_attribute("href") != f"{tab.origin}/jobs/{job_id}":
        tab.press(Keys.TAB)
    tab.press(Keys.ENTER)
    tab.wait_for("h1", "build_report")
    while tab.driver.switch_to.active_element.text != "Run again":
        tab.press(Keys.TAB)
    tab.press(Keys.ENTER)
    tab.wait_for(".status", "pending")

    assert rows.job(job_id)["status"] == "pending"


def test_what_jobs_contain_is_shown_as_text(tab: Tab, job: UUID) -> None:
    tab.open(f"/jobs/{job}")

    tab.wait_for(".problem", "<script>alert(1)</script>")
    tab.wait_for(".events", "<b>bold</b>")
    assert tab.driver.find_elements(By.CSS_SELECTOR, ".events b") == []
