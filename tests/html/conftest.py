"""A headless Chromium: Debian's chromium and chromium-driver, by selenium. Without them these tests are skipped, and say so."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
DRIVER = shutil.which("chromedriver")
REQUESTS = "Network.requestWillBeSent"


class Page:
    """One page in the browser."""

    def __init__(self, driver: Any, folder: Path) -> None:
        self.driver = driver
        self.folder = folder

    def open(self, text: str, name: str = "page", fragment: str = "") -> None:
        """Load a page from disk; the one before is gone, with its log."""
        path = self.folder / f"{name}.html"
        path.write_text(text, "utf-8")
        self.driver.get("about:blank")
        for kind in ("browser", "performance"):
            self.driver.get_log(kind)
        self.driver.get(f"{path.as_uri()}{fragment}")
        found = self.driver.execute_async_script(
            "const done = arguments[0], until = Date.now() + 20000; const look = () => document.documentElement.dataset.ready"
            " || Date.now() > until ? done(document.documentElement.dataset.ready) : setTimeout(look, 10); look();"
        )
        assert found == "yes", self.driver.get_log("browser")

    def run(self, script: str, *args: Any) -> Any:
        return self.driver.execute_script(script, *args)

    def text(self, selector: str) -> str:
        """The text of an element, shown or not."""
        found: str = self.run("return document.querySelector(arguments[0]).textContent", selector)
        return found

    def texts(self, selector: str) -> list[str]:
        found: list[str] = self.run("return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)", selector)
        return found

    def click(self, selector: str) -> None:
        self.run("document.querySelector(arguments[0]).click()", selector)

    def show(self, selector: str) -> None:
        """Scroll to a part, which is drawn when it is seen."""
        self.run("document.querySelector(arguments[0]).scrollIntoView()", selector)
        self.driver.execute_async_script("const d = arguments[0]; setTimeout(() => requestAnimationFrame(() => d()), 120)")

    def type(self, name: str, value: object) -> None:
        """Another size in the box of a symbol, taken by Enter."""
        from selenium.webdriver.common.by import By
        from selenium.webdriver.common.keys import Keys

        box = self.driver.find_element(By.ID, f"size-{name}")
        box.send_keys(Keys.CONTROL, "a")
        box.send_keys(str(value), Keys.ENTER)

    def keys(self, *keys: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def exact(self, metric: str) -> str:
        """A total to the digit, as the page shows it once its metric is chosen."""
        self.click(f"#metric-{metric}")
        return self.text("#exact").replace(",", "")

    def card(self, metric: str) -> str:
        return self.text(f"#metric-{metric} .number")

    def complaints(self) -> list[str]:
        """What the console says, and what the page asks the network for."""
        import json

        found = [entry["message"] for entry in self.driver.get_log("browser")]
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            url = message["params"].get("request", {}).get("url", "")
            if message["method"] == REQUESTS and not url.startswith(("file:", "data:", "blob:", "about:")):
                found.append(f"a request for {url}")
        return found


@pytest.fixture(scope="session")
def driver() -> Iterator[Any]:
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no browser: apt-get install chromium chromium-driver")
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
    except ModuleNotFoundError:
        pytest.skip("no selenium: pip install selenium")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1300,1000"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    found = webdriver.Chrome(options=options, service=Service(DRIVER))
    found.set_script_timeout(60)
    yield found
    found.quit()


@pytest.fixture
def page(driver: Any, tmp_path: Path) -> Iterator[Page]:
    """A page; at the end it must not have complained."""
    found = Page(driver, tmp_path)
    yield found
    assert found.complaints() == []
