"""A coding session is watched, answered and continued in its page, with real processes behind it."""

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb
from selenium.webdriver.common.by import By

from tests.browser.chromium import Tab
from tests.browser.conftest import at_work
from tests.support.fake_anthropic import FakeAnthropic
from tests.support.rows import Rows
from tests.support.scripted_replies import Reply

# After the first line it takes as long as a busy machine may need to show it.
PROMPT = (
    "Count.\n```sh\nfor n in 1 2 3; do printf '\\033[32mline %s\\033[0m\\n' $n; sleep $((n == 1 ? 5 : 0)).4; done\n"
    "echo x > new.txt\n```"
)
KEY = "made-up-for-tests"
ASKING = [
    Reply([{"tool": "ask", "input": {"question": "Which colour?", "choices": ["red", "blue"]}}]),
    Reply([{"text": "Then it will be that one."}]),
]


def start(rows: Rows, prompt: str) -> UUID:
    session = rows.add_session(user_id=UUID(int=7), initial_prompt=prompt)
    rows.add_job(session_id=session, prompt=prompt, actor="run_coding_session", queue="coding")
    return session


def say(rows: Rows, session: UUID, kind: str, **data: object) -> None:
    rows.all(
        "INSERT INTO session_events (session_id, event_type, data) VALUES (%s, %s, %s)", [session, kind, Jsonb(data)]
    )


def bodies(tab: Tab) -> list[str]:
    """The titles and texts of the conversation."""
    return [one.text for one in tab.driver.find_elements(By.CSS_SELECTOR, ".entry :is(.title, .state, .intro, .body)")]


@pytest.fixture
def asking_model(dsn: str, redis_url: str, tmp_path: Path) -> Iterator[None]:
    with (
        FakeAnthropic(ASKING, key=KEY) as api,
        at_work(dsn, redis_url, tmp_path, ANTHROPIC_API_KEY=KEY, ANTHROPIC_BASE_URL=api.url),
    ):
        yield


@pytest.mark.usefixtures("working")
def test_a_session_is_watched_to_its_end_and_goes_on(tab: Tab, rows: Rows) -> None:
    session = start(rows, PROMPT)
    tab.open(f"/sessions/{session}")
    seen: list[str] = []

    tab.wait_for(".entry.said", "I run block 1 of 1", seconds=30)
    for number in (1, 2, 3):
        tab.wait_for(".terminal", f"line {number}", seconds=30)
        seen.append(rows.session(session)["status"])
    tab.wait_for(".entry.change .diff .added", "+x", seconds=30)
    tab.wait_for(".entry.end", "Turn 1 ended")
    tab.wait_for("h1 .status", "completed")
    assert tab.find(".terminal .ansi-green").text.startswith("line")
    assert seen[0] == "active"  # it was shown while the turn ran
    watched = bodies(tab)
    tab.open(f"/sessions/{session}")
    assert bodies(tab) == watched  # stored events are shown as they were when they came

    tab.find("#prompt").send_keys("And again, without a block.")
    tab.click_button("Send")

    tab.wait_for(".entry.prompt", "And again, without a block.", seconds=30)
    tab.wait_for(".entry.end", "Turn 2 ended", seconds=30)
    tab.wait_for("[data-part=facts]", "2")
    assert tab.attribute("[download]", "href") == f"/sessions/{session}/archive"


@pytest.mark.usefixtures("asking_model")
def test_a_question_is_answered_in_the_page(tab: Tab, rows: Rows) -> None:
    session = start(rows, "Paint it, please.")
    tab.open(f"/sessions/{session}")

    tab.wait_for("[data-part=question]", "Which colour?", seconds=30)
    tab.wait_for("h1 .status", "waits for an answer")
    tab.click_button("blue")

    tab.wait_for(".entry.prompt", "blue", seconds=30)
    tab.wait_for(".entry.said", "Then it will be that one.", seconds=30)
    tab.wait_for("h1 .status", "completed", seconds=30)
    assert "Which colour?" not in tab.find("[data-part=question]").text
    assert rows.value("SELECT action FROM operator_audit") == "answer_question"


def test_events_change_what_is_shown(tab: Tab, rows: Rows) -> None:
    session = rows.add_session()
    say(rows, session, "text", message=1, text="half a mess", offset=0)
    say(rows, session, "terminal", callId="a", output="\x1b[31mred", offset=0)
    tab.open(f"/sessions/{session}")
    tab.wait_for("#stream-state", "Live")

    say(rows, session, "terminal", callId="a", output=" on\x1b[", offset=3)
    say(rows, session, "terminal", callId="a", output="0m <b>off</b>", offset=6)
    say(rows, session, "retracted", message=1)
    say(rows, session, "text", message=1, text="a cut", offset=0)
    say(rows, session, "text", message=1, text="a whole one", offset=0)
    say(rows, session, "file_change", path="a.py", diff="+<i>new</i>\n-old\n")
    say(rows, session, "own", anything=["goes"])

    tab.wait_for(".entry.note", '"goes"')
    assert [text.text for text in tab.driver.find_elements(By.CSS_SELECTOR, ".entry.said .body")] == ["a whole one"]
    assert tab.find(".terminal").text == "red on <b>off</b>"
    assert "".join(red.text for red in tab.driver.find_elements(By.CSS_SELECTOR, ".terminal .ansi-red")) == "red on"
    assert tab.find(".diff .added").text.strip() == "+<i>new</i>"


def test_what_is_typed_stays_while_the_page_renews_itself(tab: Tab, rows: Rows) -> None:
    session = rows.add_session(status="paused")
    job = rows.add_job(session_id=session, status="completed")
    question = Jsonb({"callId": "q", "question": "Why?", "choices": []})
    rows.all(
        "INSERT INTO session_turns (session_id, turn, job_id, fence, state, question)"
        " VALUES (%s, 1, %s, 1, 'asked', %s)",
        [session, job, question],
    )
    tab.open(f"/sessions/{session}")
    tab.wait_for("#stream-state", "Live")
    tab.find("#answer").send_keys("because")
    tab.click("h1")  # out of the field

    rows.all("UPDATE coding_sessions SET error_message = 'new' RETURNING id")
    say(rows, session, "error", message="new")

    tab.wait_for("[data-part=facts]", "new")
    assert tab.find("#answer").get_attribute("value") == "because"
