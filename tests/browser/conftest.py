"""A browser for the tests of one process of pytest, and a web process for each test."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from tests.browser.chromium import Tab, missing, new_driver
from tests.support.web import SECRET, WebProcess


@pytest.fixture(scope="session")
def driver() -> Iterator[webdriver.Chrome]:
    if without := missing():
        needs = f"needs {without}: run scripts/install-browser.sh"
        if os.environ.get("BROWSER") == "required":
            pytest.fail(needs)
        pytest.skip(needs)
    driver = new_driver()
    yield driver
    driver.quit()


@pytest.fixture
def web(dsn: str, redis_url: str, tmp_path: Path) -> Iterator[WebProcess]:
    web = WebProcess(dsn, redis_url, SECRET, tmp_path)
    yield web
    web.end()


@pytest.fixture
def tab(driver: webdriver.Chrome, web: WebProcess) -> Iterator[Tab]:
    """A tab on the web process. Whatever the browser complains of fails the test."""
    tab = Tab(driver, f"http://127.0.0.1:{web.address[1]}")
    driver.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": tab.origin, "storageTypes": "all"})
    yield tab
    complaints = tab.complaints()
    driver.get("about:blank")  # ends its streams
    assert complaints == []
