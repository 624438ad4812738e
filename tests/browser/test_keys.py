"""Keys and themes: kept in the browser, and never in the way of who types."""

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import Tab
from tests.support.rows import Rows
from tests.support.waiting import eventually


def focused(tab: Tab) -> str:
    element = tab.driver.switch_to.active_element
    return element.get_attribute("href") or element.get_attribute("id") or element.tag_name


def ground(tab: Tab) -> str:
    return str(tab.driver.execute_script("return getComputedStyle(document.body).backgroundColor"))


def test_keys_go_to_pages_and_rows(tab: Tab, rows: Rows) -> None:
    first, second = rows.add_job(status="failed"), rows.add_job(status="failed")
    tab.open("/")

    tab.press("gj")
    eventually(lambda: tab.path == "/jobs", what="the page of jobs")
    tab.press("/")
    assert focused(tab) == "q"
    tab.press("gw?jk", Keys.TAB)  # into the field, and on to its button
    assert tab.find("#q").get_attribute("value") == "gw?jk"
    assert tab.path == "/jobs"
    tab.press("jj")
    assert focused(tab).endswith(str(first))
    tab.press("k")
    assert focused(tab).endswith(str(second))
    tab.press(Keys.ENTER)
    eventually(lambda: tab.path == f"/jobs/{second}", what="the page of the job")
    tab.press("R")
    assert focused(tab) == "reason"


def test_the_list_of_keys_opens_and_closes(tab: Tab) -> None:
    tab.open("/")
    assert not tab.find("#keys").is_displayed()

    tab.press("?")
    assert tab.find("#keys").is_displayed()
    assert tab.violations() == []
    tab.press(Keys.ESCAPE)
    assert not tab.find("#keys").is_displayed()


def test_keys_can_be_turned_off(tab: Tab) -> None:
    tab.open("/settings")
    tab.click("#keys-on")

    tab.open("/")
    tab.press("?gj")

    assert not tab.find("#keys").is_displayed()
    assert tab.path == "/"


def test_a_theme_is_chosen_for_all_pages_and_follows_the_system_otherwise(tab: Tab) -> None:
    tab.open("/")
    light = ground(tab)
    tab.open("/", theme="dark")
    dark = ground(tab)
    assert light != dark

    tab.press("t")
    assert ground(tab) == light
    tab.open("/settings", theme="dark")
    assert ground(tab) == light
    assert tab.driver.find_element(By.CSS_SELECTOR, "[name=theme]:checked").get_attribute("value") == "light"
    tab.click("[name=theme][value=dark]")
    tab.open("/")
    assert ground(tab) == dark
