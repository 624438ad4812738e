"""A headless Chromium that a test drives, and what it finds wrong with a page."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.support.waiting import eventually

_AXE = Path(sys.prefix) / "axe" / "axe_playwright_python" / "axe.min.js"
DESKTOP, PHONE = (1280, 900), (360, 800)  # CSS pixels
_OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")


def missing() -> str | None:
    """What is not installed, if anything."""
    programs = [name for name in ("chromium", "chromedriver") if which(name) is None]
    return ", ".join(programs + ([] if _AXE.exists() else ["axe-core"])) or None


def new_driver() -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    options.binary_location = str(which("chromium"))
    for option in _OPTIONS:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service(which("chromedriver")))


@dataclass(frozen=True)
class Tab:
    """One tab of the browser on one web process."""

    driver: webdriver.Chrome
    origin: str

    def open(self, path: str, *, size: tuple[int, int] = DESKTOP, theme: str = "light") -> None:
        width, height = size
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )
        media = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        self.driver.get(self.origin + path)

    def find(self, css: str) -> WebElement:
        """The first element, as soon as there is one."""
        return eventually(lambda: self.driver.find_elements(By.CSS_SELECTOR, css), what=css)[0]

    def attribute(self, css: str, name: str) -> str:
        """Of the first element, which may be replaced meanwhile."""
        script = "return document.querySelector(arguments[0])?.getAttribute(arguments[1])"
        return str(eventually(lambda: self.driver.execute_script(script, css, name), what=f"{name} of {css}"))

    def button(self, text: str) -> WebElement:
        path = f"//button[normalize-space()='{text}']"
        return eventually(lambda: self.driver.find_elements(By.XPATH, path), what=f"the button {text!r}")[0]

    def link(self, text: str) -> WebElement:
        return eventually(lambda: self.driver.find_elements(By.LINK_TEXT, text), what=f"the link {text!r}")[0]

    def click_button(self, text: str) -> None:
        self._click(lambda: self.button(text))

    def click_link(self, text: str) -> None:
        self._click(lambda: self.link(text))

    def click(self, css: str) -> None:
        self._click(lambda: self.find(css))

    def _click(self, find: Callable[[], WebElement]) -> None:
        """A live page may put another element in its place before it is clicked: then that one is."""

        def clicked() -> bool:
            try:
                find().click()
            except StaleElementReferenceException:
                return False
            return True

        eventually(clicked, what="an element that stays until it is clicked")

    def wait_for(self, css: str, text: str, seconds: float = 10) -> None:
        """Wait until an element's text holds `text`. The page may be loaded again meanwhile."""

        def texts() -> bool:
            script = "return [...document.querySelectorAll(arguments[0])].some(e => e.innerText.includes(arguments[1]))"
            return bool(self.driver.execute_script(script, css, text))

        eventually(texts, seconds=seconds, what=f"{text!r} in {css}")

    def press(self, *keys: str) -> None:
        """Press keys, as soon as the page listens to them."""
        self.wait_until_complete()
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def wait_until_complete(self) -> None:
        """Wait until the page is loaded with its scripts."""
        script = "return document.readyState"
        eventually(lambda: self.driver.execute_script(script) == "complete", what="the whole page")

    @property
    def path(self) -> str:
        return str(self.driver.current_url).removeprefix(self.origin)

    @property
    def scrolls_sideways(self) -> bool:
        return bool(self.driver.execute_script("return document.documentElement.scrollWidth > innerWidth"))

    def violations(self) -> list[str]:
        """What axe finds wrong with the page: the rule, and the element."""
        self.driver.execute_script(_AXE.read_text())
        found: dict[str, Any] = self.driver.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
        return [f"{rule['id']}: {node['html'][:200]}" for rule in found["violations"] for node in rule["nodes"]]

    def complaints(self) -> list[str]:
        """What the browser wrote to its console since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser")]  # type: ignore[no-untyped-call]
