"""A browser for the tests of one process of pytest, and a web process for each test."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver

from tests.acceptance.processes import BIN, Process
from tests.browser.chromium import Tab, missing, new_driver
from tests.support.web import SECRET, WebProcess

ROOT = Path(__file__).parents[2]


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
def working(dsn: str, redis_url: str, tmp_path: Path) -> Iterator[None]:
    """A bridge and a worker with the actors of this repository."""
    with at_work(dsn, redis_url, tmp_path):
        yield


@contextmanager
def at_work(dsn: str, redis_url: str, tmp_path: Path, **variables: str) -> Iterator[None]:
    environment = {
        "DATABASE_URL": dsn, "REDIS_URL": redis_url, "PYTHONPATH": str(ROOT), "LEASE_MS": "3000",
        "POLL_INTERVAL_MS": "1000", "MOBVIBE_DIR": str(tmp_path / "mobvibe"), **variables,
    }  # fmt: skip
    bridge = Process([sys.executable, "-m", "bridge", "run"], tmp_path, environment, tmp_path / "bridge.log")
    worker = Process(
        [str(BIN / "dramatiq"), "actors", "-p", "1", "-t", "1"], tmp_path, environment, tmp_path / "worker.log"
    )
    try:
        bridge.wait_for("Bridge ready")
        worker.wait_for("Worker ready")
        yield
    finally:
        for process in (worker, bridge):
            process.end()


@pytest.fixture
def tab(driver: webdriver.Chrome, web: WebProcess) -> Iterator[Tab]:
    """A tab on the web process. Whatever the browser complains of fails the test."""
    tab = Tab(driver, f"http://127.0.0.1:{web.address[1]}")
    driver.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": tab.origin, "storageTypes": "all"})
    yield tab
    complaints = tab.complaints()
    driver.get("about:blank")  # ends its streams
    assert complaints == []
