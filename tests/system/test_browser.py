"""Pages of the running system in a real browser."""

import contextlib
from collections.abc import Set

import pytest
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
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


def test_dagster_says_what_an_asset_is_and_links_to_the_dashboard(
    browser: Chrome, running_system: RunningSystem
) -> None:
    asset = f"{running_system.dagster}/assets/chain/backfill"
    browser.get(f"{asset}?view=overview")
    for text in (
        "Transactions of slot ranges that no poll has read.",
        "zmart/origin",
        f"http://localhost:{running_system.environment['API_PORT']}/app",
    ):
        wait_for_text(browser, text)
    assert "pipelines" in lines(browser), "the team that owns it"
    # The dialog that adds a partition says how its name is written.
    browser.get(f"{asset}?view=partitions")
    press(browser, "Materialize")
    press(browser, "Add a partition")
    wait_for_text(browser, "Add a partition for slots_FIRST-LAST")


def test_launchpad_of_an_operators_job_has_hints_and_defaults(
    browser: Chrome, running_system: RunningSystem
) -> None:
    browser.get(
        f"{running_system.dagster}/locations/__repository__@zmart_pipelines"
        "/jobs/switch_submissions/playground"
    )
    press(browser, "caffold")
    wait_for_text(browser, "enabled: true")


def wait_for_text(browser: Chrome, text: str) -> None:
    def is_shown(_: object) -> bool:
        return text in browser.find_element(By.TAG_NAME, "body").text

    WebDriverWait(browser, PAGE_SECONDS).until(is_shown, f"not shown: {text}")


def press(browser: Chrome, label: str) -> None:
    """Click the first button or link with this text."""
    path = f"//*[self::button or self::a][contains(normalize-space(), '{label}')]"

    def pressed(_: object) -> bool:
        # The page draws its buttons again while it loads.
        with contextlib.suppress(NoSuchElementException, StaleElementReferenceException):
            found = browser.find_element(By.XPATH, path)
            browser.execute_script("arguments[0].click()", found)
            return True
        return False

    WebDriverWait(browser, PAGE_SECONDS).until(pressed, f"no button {label}")


def test_api_documentation_lists_the_routes(browser: Chrome, running_system: RunningSystem) -> None:
    routes = {"/api/markets", "/api/markets/{market}", "/api/trades/buy"}
    wait_for_lines(browser, f"{running_system.api}/docs", routes)
    assert browser.title == "ZMART API"


def test_an_operation_can_be_tried_on_the_documentation_page(
    browser: Chrome, running_system: RunningSystem
) -> None:
    browser.get(f"{running_system.api}/docs")
    wait = WebDriverWait(browser, PAGE_SECONDS)

    def click(selector: str) -> None:
        operation = "#operations-markets-list_markets"
        button = wait.until(lambda b: b.find_element(By.CSS_SELECTOR, f"{operation} {selector}"))
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
        wait.until(lambda _: button.is_displayed() and button.is_enabled())
        browser.execute_script("arguments[0].click()", button)

    click(".opblock-summary-control")
    click(".try-out__btn")
    click(".execute")
    answer = wait.until(
        lambda b: b.find_element(By.CSS_SELECTOR, ".live-responses-table tbody .response")
    )
    assert answer.find_element(By.CSS_SELECTOR, ".response-col_status").text.startswith("200")
    assert '"markets"' in answer.text
