"""A job is watched to its end by real processes, and a failed one runs again."""

import pytest

from tests.browser.chromium import Tab
from tests.support.rows import Rows
from tests.support.waiting import eventually

# After the first line it takes as long as a busy machine may need to show it.
PROMPT = (
    "Count.\n```sh\nfor n in 1 2 3; do printf '\\033[32mline %s\\033[0m\\n' $n; sleep $((n == 1 ? 5 : 0)).4; done\n```"
)


@pytest.mark.usefixtures("working")
def test_a_job_is_watched_live_to_its_end_and_runs_again(tab: Tab, rows: Rows) -> None:
    session = rows.add_session(initial_prompt=PROMPT)
    job_id = rows.add_job(session_id=session, prompt=PROMPT)
    tab.open(f"/jobs/{job_id}")
    seen: list[str] = []

    for number in (1, 2, 3):
        tab.wait_for(".events", f"line {number}", seconds=30)
        seen.append(rows.job(job_id)["status"])
    tab.wait_for(".events", "completion")

    assert seen[0] == "processing"  # it was shown while the job ran, not afterwards
    assert tab.find(".events .ansi-green").text.strip().startswith("line")
    eventually(lambda: rows.job(job_id)["status"] == "completed", what="the end of the job")
    tab.wait_for("h1 .status", "completed")
    tab.wait_for("[data-part=attempts]", "completed")
    tab.find("#reason").send_keys("to see it again")
    tab.click_button("Run again")
    tab.wait_for(".events", "line 3", seconds=30)
    eventually(lambda: len(rows.all("SELECT 1 FROM job_attempts")) == 2, seconds=30, what="a second attempt")
    assert rows.all("SELECT action, reason FROM job_audit") == [{"action": "retry", "reason": "to see it again"}]


def test_the_page_of_a_job_shows_its_failure_and_keeps_what_was_typed(tab: Tab, rows: Rows) -> None:
    job_id = rows.add_job()
    tab.open(f"/jobs/{job_id}")
    tab.wait_until_complete()
    tab.find("#reason").send_keys("too old")
    tab.click("h1")  # out of the field

    rows.all("UPDATE coding_jobs SET status = 'failed', error_message = 'broken', completed_at = now() RETURNING id")

    tab.wait_for("h1 .status", "failed")
    tab.wait_for(".problem", "broken")
    assert tab.find("#reason").get_attribute("value") == "too old"


def test_the_events_of_a_session_come_back_after_an_outage(tab: Tab, rows: Rows) -> None:
    job_id = rows.add_job(session_id=rows.add_session())
    tab.open(f"/jobs/{job_id}")
    tab.wait_for("#stream-state", "Live")
    tab.driver.execute_script(
        "const real = window.EventSource; window.EventSource = class { static CLOSED = 2; readyState = 2;"
        " constructor() { setTimeout(() => this.onerror(), 10); } close() { window.EventSource = real; } };"
        " document.dispatchEvent(new Event('visibilitychange'));"  # connects anew
    )
    tab.wait_for("#stream-state", "Reconnecting")

    tab.wait_for("#stream-state", "Live", seconds=15)


def test_the_page_of_a_job_that_waits_long_is_asked_for_less_often(tab: Tab, rows: Rows) -> None:
    job_id = rows.add_job()
    quick = (
        "const real = setTimeout; window.waits = [];"
        " window.setTimeout = (what, ms, ...more) => { waits.push(ms); return real(what, ms / 100, ...more); };"
    )
    added = tab.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": quick})
    try:
        tab.open(f"/jobs/{job_id}")
        eventually(lambda: tab.driver.execute_script("return waits.at(-1)") == 10_000, what="the longest wait")
        assert tab.driver.execute_script("return waits[0]") == 1000
    finally:
        tab.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
