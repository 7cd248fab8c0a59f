"""Pages of the dashboard in a browser: what a person would see, and what the console says."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

PAGE_SECONDS = 60
# What the system's page says of each status of its health.
SENTENCES = {
    "ok": "All work that is due is done.",
    "idle": "All work that is due is done; nothing waits.",
    "starting": "The system is starting.",
    "degraded": "The system is degraded.",
    "down": "The system is down.",
}


def open_page(browser: Chrome, url: str, theme: str = "light") -> None:
    """Open a page in a colour scheme; what the console said before is forgotten."""
    features = [{"name": "prefers-color-scheme", "value": theme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get_log("browser")  # type: ignore[no-untyped-call]
    browser.get(url)


def wait_for_text(browser: Chrome, text: str, selector: str = "body") -> None:
    """Wait until the text stands in one of the elements."""

    def is_shown(_: object) -> bool:
        return any(text in found for found in texts(browser, selector))

    try:
        WebDriverWait(browser, PAGE_SECONDS).until(is_shown)
    except TimeoutException:
        shown = "\n".join(texts(browser, selector))
        raise AssertionError(f"not on the page: {text}; it says: {shown}") from None


def texts(browser: Chrome, selector: str) -> list[str]:
    """The texts of the elements; those that are drawn again meanwhile count as absent."""
    try:
        return [found.text for found in browser.find_elements(By.CSS_SELECTOR, selector)]
    except StaleElementReferenceException:
        return []


def wait_until(condition: Callable[[], bool], goal: str) -> None:
    deadline = time.monotonic() + PAGE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not {goal}"
        time.sleep(0.2)


def click(browser: Chrome, label: str) -> None:
    """Click the first button with this label."""
    path = f"//button[normalize-space()='{label}']"
    button = WebDriverWait(browser, PAGE_SECONDS).until(lambda b: b.find_element(By.XPATH, path))
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()


def errors(browser: Chrome) -> list[str]:
    """What the console has of errors since the page was opened."""
    log: list[dict[str, Any]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    return [entry["message"] for entry in log if entry["level"] in ("SEVERE", "WARNING")]
