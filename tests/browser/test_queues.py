"""A queue is paused and resumed on its page."""

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import DESKTOP, PHONE, Tab
from tests.support.rows import Rows
from tests.support.steps import Steps


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_pause_is_asked_for_twice_and_says_how_many_jobs_wait(tab: Tab, rows: Rows, size: tuple[int, int]) -> None:
    for _ in range(3):
        rows.add_job(queue="reports")
    tab.open("/queues", size=size)
    assert not tab.driver.find_element(By.CSS_SELECTOR, "#queue-reports button").is_displayed()

    tab.click("#queue-reports summary")
    tab.find("#reason-reports").send_keys("the disk is full")
    tab.click_button("Pause reports: 3 jobs wait")

    tab.wait_for("#queue-reports", "by dashboard: the disk is full")
    assert tab.path == "/queues#queue-reports"
    assert rows.value("SELECT reason FROM queue_pauses") == "the disk is full"
    assert not tab.scrolls_sideways

    tab.click("#queue-reports summary")
    tab.click_button("Resume reports: 3 jobs wait")

    tab.wait_for("#queue-reports", "open")
    assert rows.all("SELECT * FROM queue_pauses") == []


def test_the_keyboard_alone_pauses_a_queue(tab: Tab, rows: Rows) -> None:
    rows.add_job(queue="reports")
    tab.open("/")
    tab.press("g", "q")
    tab.wait_for("h1", "Queues")

    tab.press("j")
    while tab.driver.switch_to.active_element.tag_name != "summary":
        tab.press(Keys.TAB)
    tab.press(Keys.ENTER)
    while tab.driver.switch_to.active_element.tag_name != "button":
        tab.press(Keys.TAB)
    tab.press(Keys.ENTER)

    tab.wait_for("#queue-reports", "paused")
    assert rows.value("SELECT queue FROM queue_pauses") == "reports"


def test_the_pages_of_queues_and_workers_keep_themselves_new(tab: Tab, rows: Rows, steps: Steps) -> None:
    tab.open("/queues")
    tab.wait_for(".empty", "No queue has had a job")
    rows.add_job(queue="reports")
    tab.wait_for("#queue-reports", "1 pending", seconds=20)

    tab.open("/workers")
    tab.wait_for(".empty", "No worker has registered")
    steps.add_worker(slots=7)
    tab.wait_for("[data-part=workers] tbody", "7", seconds=20)
