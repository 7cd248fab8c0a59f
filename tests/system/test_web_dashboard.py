"""The dashboard against the running system: its figures, its search, outages and orders."""

from __future__ import annotations

import contextlib

import httpx
import psutil
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.fixtures.running_system import RunningSystem
from tests.fixtures.web_pages import accessibility_problems
from tests.system.parts import acting, kill
from tests.system.web_pages import (
    click,
    errors,
    open_page,
    texts,
    wait_for_text,
    wait_until,
)
from zmart_pipelines.monitoring.alerts import AlertKey, clear_alert, raise_alert
from zmart_pipelines.store.engine import Role

pytestmark = pytest.mark.system

SENTENCES = {
    "ok": "All work that is due is done.",
    "idle": "All work that is due is done; nothing waits.",
    "starting": "The system is starting.",
    "degraded": "The system is degraded.",
    "down": "The system is down.",
}
PANELS = (
    "How it works now",
    "Owed now",
    "Open alerts",
    "Next deadlines",
    "Intake and live updates",
    "Backups, snapshots, growth",
    "Last submissions",
    "Coverage",
    "Reconciliation",
    "Kill switches",
    "Circuit breakers",
)


def intended(message: str) -> bool:
    """Health is answered with 503 while a service is down, and shown as such."""
    return "/health/services" in message and "503" in message


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("page", ["", "/markets", "/runbooks/breaker", "/nothing"])
def test_pages_are_accessible_and_without_errors(
    browser: Chrome, running_system: RunningSystem, page: str, theme: str
) -> None:
    open_page(browser, f"{running_system.api}/app{page}", theme)
    wait_for_text(browser, "Live", ".connection")
    wait_until(lambda: not texts(browser, ".waiting"), "everything is read")
    assert accessibility_problems(browser) == []
    assert [one for one in errors(browser) if not intended(one)] == []


def test_system_page_has_the_verdict_of_the_health_route(
    browser: Chrome, running_system: RunningSystem
) -> None:
    open_page(browser, f"{running_system.api}/app")

    def agrees() -> bool:
        status = httpx.get(f"{running_system.api}/health/services").json()["status"]
        return [SENTENCES[status]] == texts(browser, ".system-verdict-word")

    wait_until(agrees, "the page has the verdict of /health/services")
    for panel in PANELS:
        wait_for_text(browser, panel, "h2")


def test_search_narrows_the_list_as_one_types(
    browser: Chrome, running_system: RunningSystem
) -> None:
    markets = httpx.get(f"{running_system.api}/api/markets").json()["markets"]
    wanted = markets[-1]["question"]
    open_page(browser, f"{running_system.api}/app/markets")
    wait_for_text(browser, wanted, ".question")
    browser.find_element(By.CSS_SELECTOR, "input[type=search]").send_keys(wanted)

    def is_narrowed() -> bool:
        answer = httpx.get(f"{running_system.api}/api/markets", params={"q": wanted}).json()
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
    audit = httpx.get(f"{running_system.api}/api/audit", headers=headers).json()["entries"]
    assert any(entry["reason"] == reason for entry in audit)


def is_right(browser: Chrome, system: RunningSystem) -> bool:
    """Return whether the page agrees with the API: verdict, newest submission, coverage."""
    if texts(browser, ".stale") or texts(browser, ".connection") != ["Live"]:
        return False
    verdict = SENTENCES[httpx.get(f"{system.api}/health/services").json()["status"]]
    newest = system.get("/api/submissions?limit=1")["submissions"][0]
    holes = system.get("/api/coverage")["uncovered_intervals"]
    shown = " ".join(texts(browser, "main"))
    return (
        texts(browser, ".system-verdict-word") == [verdict]
        and newest["signature"][:5] in shown
        and ("No holes" in shown) == (holes == 0)
    )


def test_killed_api_is_shown_and_the_page_is_right_afterwards(
    browser: Chrome, running_system: RunningSystem
) -> None:
    open_page(browser, f"{running_system.api}/app")
    wait_for_text(browser, "Live", ".connection")
    kill(running_system.pid("api"))
    wait_for_text(browser, "Reconnecting since", ".connection")
    wait_for_text(browser, "stale", ".as-of")
    wait_for_text(browser, "Live", ".connection")
    wait_until(lambda: is_right(browser, running_system), "the page agrees with the API")


def test_figures_of_a_frozen_api_are_not_shown_as_fresh(
    browser: Chrome, running_system: RunningSystem
) -> None:
    open_page(browser, f"{running_system.api}/app")
    wait_until(lambda: is_right(browser, running_system), "the page agrees with the API")
    api = psutil.Process(running_system.pid("api"))
    api.suspend()
    try:
        # The longest time for which figures of this page count as fresh is a minute.
        wait_for_text(browser, "The health is unknown.", ".system-verdict-word")
        fresh = "main .panel:not(.stale) > .as-of"
        wait_until(
            lambda: (
                "Reconnecting since" in " ".join(texts(browser, ".connection"))
                and not texts(browser, fresh)
            ),
            "every figure is marked as stale",
        )
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):  # the supervisor may have ended it
            api.resume()
    wait_until(lambda: is_right(browser, running_system), "the page agrees with the API")


def test_page_stays_right_while_redis_is_killed(
    browser: Chrome, running_system: RunningSystem
) -> None:
    open_page(browser, f"{running_system.api}/app")
    wait_until(lambda: is_right(browser, running_system), "the page agrees with the API")
    key = AlertKey("run", subject="drill_without_redis")
    kill(running_system.pid("redis"))
    with acting(running_system, Role.PIPELINES) as conn:
        raise_alert(conn, key, "high", "a drill")
    try:
        # Frames come by polling while no signal does.
        wait_until(
            lambda: any("high: Run" in one for one in texts(browser, ".alert")),
            "the alert of meanwhile is shown",
        )
    finally:
        with acting(running_system, Role.PIPELINES) as conn:
            clear_alert(conn, key)
    wait_until(lambda: is_right(browser, running_system), "the page agrees with the API")
