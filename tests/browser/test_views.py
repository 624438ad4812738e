"""Searches for jobs are saved as views: in this browser, each a link."""

from selenium.webdriver.common.by import By

from tests.browser.chromium import PHONE, Tab
from tests.support.waiting import eventually

HOSTILE = '<b>"late" & others</b>'


def views(tab: Tab) -> list[str]:
    return [link.text for link in tab.driver.find_elements(By.CSS_SELECTOR, ".views li a")]


def save(tab: Tab, name: str) -> None:
    tab.wait_until_complete()
    tab.find("#view-name").send_keys(name)
    tab.click_button("Save view")


def test_a_search_is_saved_found_again_and_removed(tab: Tab) -> None:
    tab.open("/jobs?q=status:failed older:2h")
    save(tab, HOSTILE)
    tab.open("/jobs")
    save(tab, "all")
    assert views(tab) == [HOSTILE, "all"]
    assert tab.find(".views a[aria-current]").text == "all"

    tab.click_link(HOSTILE)
    eventually(lambda: tab.path == "/jobs?q=status%3Afailed+older%3A2h", what="the search")
    assert tab.find("#q").get_attribute("value") == "status:failed older:2h"
    assert tab.violations() == []
    tab.wait_until_complete()
    tab.click(".views li button")
    assert views(tab) == ["all"]
    tab.open("/jobs")
    assert views(tab) == ["all"]


def test_a_name_that_is_saved_again_means_the_new_search(tab: Tab) -> None:
    tab.open("/jobs?q=queue:a")
    save(tab, "mine")
    tab.open("/jobs?q=queue:b")
    save(tab, "mine")

    assert views(tab) == ["mine"]
    assert "queue%3Ab" in str(tab.find(".views a").get_attribute("href"))


def test_what_else_is_stored_in_the_browser_breaks_nothing_and_many_views_fit(tab: Tab) -> None:
    tab.open("/jobs", size=PHONE)
    tab.driver.execute_script("localStorage.setItem('views', '{broken')")
    tab.open("/jobs", size=PHONE)
    assert views(tab) == []

    for number in range(5):
        save(tab, f"{number}" + "w" * 39)
    assert len(views(tab)) == 5
    assert not tab.scrolls_sideways
