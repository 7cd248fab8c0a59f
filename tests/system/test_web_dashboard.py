"""The dashboard against the running system: its figures, its search and orders."""

from __future__ import annotations

import httpx
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from sqlalchemy import text

from tests.fixtures.running_system import RunningSystem
from tests.fixtures.web_pages import (
    PHONE,
    WIDE,
    accessibility_problems,
    screen,
    scrolls_sideways,
)
from tests.system.parts import acting
from tests.system.web_pages import (
    SENTENCES,
    click,
    errors,
    open_page,
    texts,
    wait_for_text,
    wait_until,
)
from zmart_pipelines.store.engine import Role

pytestmark = pytest.mark.system

PANELS = (
    "How it works now",
    "Owed now",
    "Open alerts",
    "Next deadlines",
    "Intake and live updates",
    "Backups and snapshots",
    "Growth",
    "Last submissions",
    "Coverage",
    "Reconciliation",
    "Kill switches",
    "Circuit breakers",
)


def intended(message: str) -> bool:
    """Health is answered with 503 while a service is down, and shown as such."""
    return "/health/services" in message and "503" in message


@pytest.mark.parametrize("size", [WIDE, PHONE])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("page", ["", "/markets", "/runbooks/breaker", "/nothing"])
def test_pages_are_accessible_and_without_errors(
    browser: Chrome, running_system: RunningSystem, page: str, theme: str, size: tuple[int, int]
) -> None:
    with screen(browser, size):
        open_page(browser, f"{running_system.api}/app{page}", theme)
        wait_for_text(browser, "Live", ".connection")
        wait_until(lambda: not texts(browser, ".waiting"), "everything is read")
        assert accessibility_problems(browser) == []
        assert not scrolls_sideways(browser)
    assert [one for one in errors(browser) if not intended(one)] == []


@pytest.mark.parametrize(("zone", "times"), [("Etc/UTC", 1), ("Asia/Tokyo", 2)])
def test_local_time_stands_beside_utc_only_where_it_differs(
    browser: Chrome, running_system: RunningSystem, zone: str, times: int
) -> None:
    browser.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": zone})
    try:
        open_page(browser, f"{running_system.api}/app")
        wait_for_text(browser, " UTC", "td time .quiet")
        shown = browser.find_element(By.CSS_SELECTOR, "td time:has(.quiet)")
        moments = shown.find_elements(By.CSS_SELECTOR, ".quiet .nowrap")
        assert len(moments) == times
        assert str(shown.get_attribute("title")).count(":") == 2 * times
    finally:
        browser.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": ""})


def test_growth_of_the_tables_is_shown_over_days(
    browser: Chrome, running_system: RunningSystem
) -> None:
    with acting(running_system, Role.PIPELINES) as conn:
        conn.execute(
            text(
                "INSERT INTO ops.table_sizes (name, measured_at, bytes)"
                " SELECT name, now() - hours * interval '1 hour', 1024"
                " FROM generate_series(2, 72) AS hours,"
                " unnest(ARRAY['database', 'chain.events']) AS name"
            )
        )
    open_page(browser, f"{running_system.api}/app")
    wait_for_text(browser, "In 3 d", "th")
    wait_until(
        lambda: bool(browser.find_elements(By.CSS_SELECTOR, ".growth-chart canvas")),
        "the chart is drawn",
    )
    now = running_system.get("/api/system/growth")["database"]
    assert now[0] == 1024
    wait_for_text(browser, "MiB in 3 d", ".panel p")
    assert [one for one in errors(browser) if not intended(one)] == []


def test_pages_are_used_by_keyboard_alone(browser: Chrome, running_system: RunningSystem) -> None:
    def press(*keys: str) -> None:
        ActionChains(browser).send_keys(*keys).perform()

    def back() -> None:
        ActionChains(browser).key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT).perform()

    def focused() -> str:
        return browser.switch_to.active_element.text.strip()

    open_page(browser, f"{running_system.api}/app")
    wait_for_text(browser, "Live", ".connection")
    wait_until(lambda: focused() == "System", "the focus begins at the heading")
    back()
    assert focused() == "Sign in"
    press(Keys.ENTER)
    wait_until(lambda: bool(browser.find_elements(By.CSS_SELECTOR, "dialog :focus")), "in it")
    press(Keys.ESCAPE)
    wait_until(lambda: not browser.find_elements(By.CSS_SELECTOR, "dialog"), "the dialog is closed")
    assert focused() == "Sign in"
    back()  # the colours
    back()
    assert focused() == "Markets"
    press(Keys.ENTER)
    wait_until(lambda: browser.current_url.endswith("/app/markets"), "the page Markets")
    wait_for_text(browser, "Proposed", ".state-counts button")
    wait_until(lambda: focused() == "Markets", "the focus is at its heading")
    press(Keys.TAB, Keys.SPACE)
    wait_until(lambda: "state=PROPOSED" in browser.current_url, "proposed markets are listed")


def test_system_page_has_the_verdict_of_the_health_route(
    browser: Chrome, running_system: RunningSystem
) -> None:
    open_page(browser, f"{running_system.api}/app")

    def agrees() -> bool:
        status = running_system.get("/health/services")["status"]
        return [SENTENCES[status]] == texts(browser, ".system-verdict-word")

    wait_until(agrees, "the page has the verdict of /health/services")
    for panel in PANELS:
        wait_for_text(browser, panel, "h2")


def test_search_narrows_the_list_as_one_types(
    browser: Chrome, running_system: RunningSystem
) -> None:
    markets = running_system.get("/api/markets")["markets"]
    wanted = markets[-1]["question"]
    open_page(browser, f"{running_system.api}/app/markets")
    wait_for_text(browser, wanted, ".question")
    browser.find_element(By.CSS_SELECTOR, "input[type=search]").send_keys(wanted)

    def is_narrowed() -> bool:
        answer = httpx.get(
            f"{running_system.api}/api/markets", params={"q": wanted}, timeout=60
        ).json()
        found = [market["question"] for market in answer["markets"]]
        return wanted in found and texts(browser, ".question") == found

    wait_until(is_narrowed, "what the API finds is listed")
    assert "q=" in browser.current_url
    # The field keeps the focus while the list changes under it.
    assert browser.switch_to.active_element.get_attribute("value") == wanted


def test_visitors_see_nothing_of_operators(browser: Chrome, running_system: RunningSystem) -> None:
    open_page(browser, f"{running_system.api}/app")
    wait_for_text(browser, "Kill switches", "h2")
    wait_for_text(browser, "Finalize market", "td")
    buttons = " ".join(texts(browser, "main button"))
    assert "Switch off" not in buttons
    assert "Orders of operators" not in texts(browser, "h2")


def test_operator_stops_an_action_with_a_reason(
    browser: Chrome, running_system: RunningSystem
) -> None:
    made = running_system.run("keys", "create", "dashboard", "--scope", "operator")
    assert made.returncode == 0, made.stderr
    key = next(word for word in made.stdout.split() if word.startswith("zmart_"))
    open_page(browser, f"{running_system.api}/app")
    click(browser, "Sign in")
    field = browser.find_element(By.CSS_SELECTOR, "input[name=key]")
    field.send_keys(key, Keys.ENTER)
    wait_for_text(browser, "Orders of operators", "h2")
    assert accessibility_problems(browser) == []

    click(browser, "Switch off …")
    reason = "a drill of the dashboard"
    browser.find_element(By.CSS_SELECTOR, "textarea[name=reason]").send_keys(reason)
    click(browser, "Send order")
    try:
        wait_for_text(browser, reason, "td")
        wait_for_text(browser, "stopped", "td")
    finally:
        assert (
            running_system.run("switch", "all", "on", "--reason", "end of a drill").returncode == 0
        )
    headers = {"X-Api-Key": key}
    audit = httpx.get(f"{running_system.api}/api/audit", headers=headers, timeout=60).json()[
        "entries"
    ]
    assert any(entry["reason"] == reason for entry in audit)
