"""What an operator does from page to page, with real processes behind the pages."""

from pathlib import Path

import pytest
from selenium import webdriver

from tests.browser.chromium import Tab
from tests.support.rows import Rows
from tests.support.waiting import eventually
from tests.support.web import SECRET, WebProcess

PROMPT = "Say hello.\n```sh\necho hello\n```"


@pytest.mark.usefixtures("working")
def test_a_group_of_dead_letters_is_replayed(tab: Tab, rows: Rows) -> None:
    for number in (17, 4711):
        session = rows.add_session(initial_prompt=PROMPT)
        error = f"TimeoutError: after {number} s"
        rows.add_job(session_id=session, prompt=PROMPT, status="failed", error_message=error, completed_at="now")
    rows.add_job(status="failed", error_message="another error", completed_at="now")
    tab.open("/")

    tab.click_link("Dead letters")
    tab.wait_for("td", "2")
    tab.driver.find_element("xpath", "//tr[contains(., 'TimeoutError')]//button[contains(., 'Replay')]").click()
    tab.wait_for("h1", "Replay 2 jobs")
    tab.find("#reason").send_keys("the network is back")
    tab.click_button("Replay 2 jobs")
    tab.wait_for("strong", "done", seconds=30)

    eventually(
        lambda: rows.value("SELECT count(*) FROM coding_jobs WHERE status = 'completed'") == 2,
        seconds=30,
        what="the end of both copies",
    )
    assert rows.value("SELECT count(*) FROM coding_jobs WHERE status = 'failed'") == 3
    assert {row["reason"] for row in rows.all("SELECT reason FROM job_audit")} == {"the network is back"}


@pytest.mark.usefixtures("working")
def test_a_thousand_failed_jobs_are_retried_at_once(tab: Tab, rows: Rows) -> None:
    rows.all(
        "INSERT INTO coding_jobs (actor, queue, status, error_message, completed_at)"
        " SELECT 'of_nobody', 'reports', 'failed', 'no luck', now() FROM generate_series(1, 1000)"
    )
    rows.add_job(queue="other", status="failed", completed_at="now")
    tab.open("/jobs?q=status:failed queue:reports")

    tab.driver.find_element("xpath", "//button[contains(., 'Retry')]").click()
    tab.wait_for("h1", "Retry 1000 jobs")
    tab.click_button("Retry 1000 jobs")
    tab.wait_for("strong", "done", seconds=60)

    assert tab.driver.find_element("xpath", "//dt[.='Done']/following-sibling::dd").text == "1000"
    assert rows.all("SELECT queue, status, count(*) FROM coding_jobs GROUP BY 1, 2 ORDER BY 1") == [
        {"queue": "other", "status": "failed", "count": 1},
        {"queue": "reports", "status": "pending", "count": 1000},
    ]


def test_who_logs_in_comes_to_the_page_that_was_asked_for(
    driver: webdriver.Chrome, dsn: str, redis_url: str, tmp_path: Path, rows: Rows
) -> None:
    job_id = rows.add_job(status="failed")
    web = WebProcess(dsn, redis_url, SECRET, tmp_path, DASHBOARD_PASSWORD="correct horse", PATH_PREFIX="/mobvibe")
    try:
        tab = Tab(driver, f"http://127.0.0.1:{web.address[1]}/mobvibe")
        tab.open(f"/jobs/{job_id}")
        assert tab.path.startswith("/login")
        assert tab.violations() == []
        tab.find("[name=user]").send_keys("admin")
        tab.find("[name=password]").send_keys("correct horse")
        tab.click_button("Log in")
        tab.wait_for(".status", "failed")
        assert tab.path == f"/jobs/{job_id}"
        tab.click_button("Run again")
        tab.wait_for(".status", "pending")
        tab.click_button("Log out")
        eventually(lambda: tab.path.startswith("/login"), what="the page of the login")
        tab.open(f"/jobs/{job_id}")
        assert tab.path.startswith("/login")
        assert tab.complaints() == []
    finally:
        web.end()

    assert rows.value("SELECT done_by FROM job_audit") == "admin"
