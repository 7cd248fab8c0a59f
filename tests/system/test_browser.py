"""Pages of the running system in a real browser."""

from collections.abc import Set

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.fixtures.running_system import RunningSystem

pytestmark = pytest.mark.system

PAGE_SECONDS = 90
GROUPS = {"chain", "market", "voting", "submissions", "reconciliation"}


def lines(browser: Chrome) -> set[str]:
    return set(browser.find_element(By.TAG_NAME, "body").text.splitlines())


def wait_for_lines(browser: Chrome, url: str, expected: Set[str]) -> None:
    browser.get(url)
    WebDriverWait(browser, PAGE_SECONDS).until(
        lambda _: expected <= lines(browser), f"missing on {url}: {expected - lines(browser)}"
    )


def test_dagster_shows_the_asset_graph(browser: Chrome, running_system: RunningSystem) -> None:
    wait_for_lines(browser, f"{running_system.dagster}/asset-groups", GROUPS)
    WebDriverWait(browser, PAGE_SECONDS).until(lambda b: b.title == "Global asset lineage")


def test_api_documentation_lists_the_routes(browser: Chrome, running_system: RunningSystem) -> None:
    routes = {"/api/markets", "/api/markets/{market}", "/api/trades/buy"}
    wait_for_lines(browser, f"{running_system.api}/docs", routes)
    assert browser.title == "ZMART API"
