"""Jobs are selected on their page, with the mouse and with keys, and acted on together."""

from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import PHONE, Tab
from tests.support.rows import Rows


def boxes(tab: Tab) -> list[bool]:
    return [box.is_selected() for box in tab.driver.find_elements(By.CSS_SELECTOR, "input[form=selection]")]


def click(tab: Tab, row: int, *, shift: bool = False) -> None:
    box = tab.driver.find_elements(By.CSS_SELECTOR, "input[form=selection]")[row]
    chain = ActionChains(tab.driver)
    if shift:
        chain.key_down(Keys.SHIFT)
    chain.click(box)
    if shift:
        chain.key_up(Keys.SHIFT)
    chain.perform()


def test_a_range_of_jobs_is_selected_and_retried(tab: Tab, rows: Rows) -> None:
    for _ in range(5):
        rows.add_job(status="failed", completed_at="now")
    tab.open("/jobs?q=status:failed")
    tab.wait_for("[data-selected]", "None selected")
    assert not tab.button("Retry …").is_enabled()

    click(tab, 3)
    click(tab, 1, shift=True)
    assert boxes(tab) == [False, True, True, True, False]
    tab.wait_for("[data-selected]", "3 selected")
    tab.click_button("All 5 on this page")
    tab.wait_for("[data-selected]", "5 selected")
    tab.click_button("None")
    assert boxes(tab) == [False] * 5
    click(tab, 0)
    click(tab, 4)
    assert tab.violations() == []
    tab.click_button("Retry …")

    tab.wait_for("h1", "Retry 2 jobs")
    tab.click_button("Retry 2 jobs")
    tab.wait_for("strong", "running")
    assert rows.value("SELECT jsonb_array_length(conditions -> 'id') FROM bulk_operations") == 2
    assert rows.value("SELECT state FROM bulk_operations") == "running"


def test_the_row_that_has_the_focus_is_selected_with_a_key(tab: Tab, rows: Rows) -> None:
    for _ in range(3):
        rows.add_job(status="failed", completed_at="now")
    tab.open("/jobs")

    tab.press("xj")
    assert boxes(tab) == [False] * 3
    tab.press("jx")
    assert boxes(tab) == [False, True, False]
    tab.press("x")
    assert boxes(tab) == [False] * 3


def test_a_selection_stays_at_hand_and_its_boxes_can_be_hit_with_a_thumb(tab: Tab, rows: Rows) -> None:
    for _ in range(30):
        rows.add_job(status="failed", completed_at="now")
    tab.open("/jobs", size=PHONE)

    click(tab, 0)
    tab.wait_for("[data-selected]", "1 selected")

    assert not tab.scrolls_sideways
    shown = "const r = arguments[0].getBoundingClientRect(); return r.top >= 0 && r.bottom <= innerHeight"
    assert tab.driver.execute_script(shown, tab.find("#selection"))
    size = tab.find("input[form=selection]").size
    assert min(size["width"], size["height"]) >= 24
