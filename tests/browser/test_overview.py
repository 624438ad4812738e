"""The start page in a browser: live figures, charts, the pause, and hints of new jobs."""

import time
from pathlib import Path

from selenium import webdriver

from tests.browser.chromium import Tab
from tests.support.rows import Rows
from tests.support.steps import Steps
from tests.support.waiting import eventually
from tests.support.web import SECRET, WebProcess

# How many pixels of a chart have the colour of its p99, in the light theme.
INKED = """
  const canvas = document.querySelector(arguments[0]);
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let inked = 0;
  for (let i = 0; i < pixels.length; i += 4) {
    if (pixels[i] === 0xa3 && pixels[i + 1] === 0x38 && pixels[i + 2] === 0x7f) inked += 1;
  }
  return inked;
"""


def text(tab: Tab, selector: str) -> str:
    return str(tab.find(selector).text)


def wait_for_the_stream_to_say(tab: Tab, failed: int) -> None:
    """Wait on a stream beside that of the page until it has figures, which a page that listens has got by then, too."""
    tab.driver.execute_script(
        "window.beside = new EventSource(document.querySelector('.live').dataset.stream);"
        " window.beside.onmessage = (message) => { window.said = JSON.parse(message.data).counts.failed; };"
    )
    eventually(lambda: tab.driver.execute_script("return window.said") == failed, what="the figure in the stream")
    tab.driver.execute_script("window.beside.close()")


def connect_anew(tab: Tab) -> None:
    tab.click_button("Pause updates")
    tab.click_button("Pause updates")


def test_a_commit_is_seen_without_a_reload_and_a_pause_keeps_the_figures(tab: Tab, rows: Rows) -> None:
    tab.open("/")
    tab.wait_for("#live-state", "Live")
    began = time.monotonic()
    rows.add_job(status="failed")
    tab.wait_for("[data-count=failed]", "1")
    assert time.monotonic() - began < 3, "half a second, on a quiet machine"

    tab.click_button("Pause updates")
    tab.wait_for("#live-state", "Paused")
    rows.add_job(status="failed")
    wait_for_the_stream_to_say(tab, failed=2)
    assert text(tab, "[data-count=failed]") == "1"
    tab.click_button("Pause updates")
    tab.wait_for("[data-count=failed]", "2")


def test_charts_are_drawn_from_the_history(tab: Tab, rows: Rows, steps: Steps) -> None:
    rows.all(
        "INSERT INTO coding_jobs (status, fence, created_at, claimed_at, started_at, completed_at)"
        " SELECT 'completed', 1, t, t, t, t FROM (SELECT now() - interval '2 minutes' AS t) m"
    )
    steps.queue.record_history()

    for span in ("1h", "24h", "30d"):
        tab.open(f"/?range={span}")
        tab.wait_for("[data-chart=throughput] .u-legend", "completed")
        tab.wait_for("[data-chart=wait] .u-legend", "p95")
        assert tab.driver.execute_script(INKED, "[data-chart=wait] canvas") > 10, "a minute alone is a point"


def test_new_jobs_wait_behind_a_link(tab: Tab, rows: Rows) -> None:
    rows.add_job(status="failed")
    tab.open("/jobs?q=status:failed")
    tab.wait_for("#live-state", "Live")
    tab.find("#new-jobs[data-first]")
    rows.add_job(status="failed")
    rows.add_job(status="completed")

    tab.wait_for("#new-jobs", "1 new")
    assert rows.value("SELECT count(*) FROM coding_jobs WHERE status = 'failed'") == 2
    tab.click("#new-jobs a")
    eventually(lambda: tab.driver.page_source.count('<th scope="row"><a href="/jobs/') == 2, what="both jobs")


def test_the_page_polls_where_no_stream_can_be_had(tab: Tab, rows: Rows) -> None:
    tab.open("/")
    tab.driver.execute_script(
        "window.EventSource = class {"
        " constructor() { setTimeout(() => this.onerror(), 10); } addEventListener() {} close() {} };"
    )
    connect_anew(tab)
    rows.add_job(status="failed")

    tab.wait_for("[data-count=failed]", "1", seconds=20)


def test_a_stream_without_news_is_live(tab: Tab) -> None:
    tab.open("/")
    tab.driver.execute_script(
        "window.EventSource = class { constructor() { window.made = this; } close() {}"
        " addEventListener(name, hear) { this[name] = hear; } };"
    )
    connect_anew(tab)
    tab.wait_for("#live-state", "Connecting")

    tab.driver.execute_script("window.made.alive({});")

    tab.wait_for("#live-state", "Live")


def test_a_page_whose_login_is_over_leads_to_the_login(
    driver: webdriver.Chrome, dsn: str, redis_url: str, tmp_path: Path
) -> None:
    web = WebProcess(dsn, redis_url, SECRET, tmp_path, DASHBOARD_PASSWORD="correct horse")
    try:
        tab = Tab(driver, f"http://127.0.0.1:{web.address[1]}")
        tab.open("/workers")
        tab.find("[name=user]").send_keys("admin")
        tab.find("[name=password]").send_keys("correct horse")
        tab.click_button("Log in")
        tab.wait_for("#live-state", "Live")

        driver.delete_all_cookies()
        tab.click_button("Pause updates")
        tab.click_button("Pause updates")  # connects anew

        eventually(lambda: tab.path == "/login?next=/workers", seconds=20, what="the page of the login")
        tab.complaints()  # of the answers 401
    finally:
        web.end()
