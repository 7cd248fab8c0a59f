"""The pictures of docs/dashboard.md, each of a page of the running system that answers a question.

With ``DOCS_IMAGES=1`` they become those of the documentation.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome

from tests.fixtures.running_system import RunningSystem
from tests.fixtures.web_pages import FOR_DOCS, PHONE, check_no_errors, picture
from tests.system.market_lives import two_markets_finished
from tests.system.parts import acting
from tests.system.web_pages import open_page, texts, wait_for_text, wait_until
from zmart_pipelines.breakers import breaker_rows
from zmart_pipelines.breakers.machine import Policy
from zmart_pipelines.store.engine import Role

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

LIFE_SECONDS = 400
BREAKER = "action:finalize_market"


@pytest.fixture(scope="module")
def system() -> Iterator[RunningSystem]:
    with RunningSystem() as running:
        running.start()
        yield running


@pytest.fixture
def finished(system: RunningSystem) -> RunningSystem:
    """The system once two markets have ended."""
    system.wait_for(lambda: two_markets_finished(system), LIFE_SECONDS, "two finished")
    return system


def show(browser: Chrome, system: RunningSystem, path: str) -> None:
    open_page(browser, f"{system.api}{path}")
    wait_for_text(browser, "Live", ".connection")
    wait_until(lambda: not texts(browser, ".waiting"), "everything is read")


def status_of(system: RunningSystem) -> str:
    return str(system.get("/health/services")["status"])


# First, because the first markets are traded on at once.
def test_what_does_this_market_wait_for(
    browser: Chrome, system: RunningSystem, tmp_path: Path
) -> None:
    def is_open(market: dict[str, Any]) -> bool:
        return market["state"] in ("RESOLVING", "DISPUTED", "ACTIVE") and market["trades_count"] > 2

    def found() -> list[dict[str, Any]]:
        return [one for one in system.get("/api/markets?limit=100")["markets"] if is_open(one)]

    system.wait_for(lambda: bool(found()), 300, "a market that is open and was traded on")
    market = found()[0]
    show(browser, system, f"/app/markets/{market['id']}")
    wait_for_text(browser, market["question"], "h1")
    check_no_errors(browser)
    picture(browser, "dashboard-market", 1180, tmp_path)


@pytest.mark.usefixtures("finished")
def test_is_it_healthy(browser: Chrome, system: RunningSystem, tmp_path: Path) -> None:
    def is_healthy_and_at_work() -> bool:
        deadlines = system.get("/api/owed")["deadlines"]
        alerts = system.get("/api/alerts?open=true")
        return status_of(system) == "ok" and bool(deadlines) and not alerts["alerts"]

    if FOR_DOCS:  # the next market is opened minutes after the first two
        system.wait_for(is_healthy_and_at_work, 800, "healthy, with deadlines, without alerts")
    system.wait_for(lambda: status_of(system) in ("ok", "idle"), 120, "healthy")
    show(browser, system, "/app")
    wait_for_text(browser, "All work that is due is done", ".system-verdict-word")
    picture(browser, "dashboard-system-light", 1500, tmp_path)
    width, height = PHONE
    picture(browser, "dashboard-system-phone", height, tmp_path, width=width)


@pytest.mark.usefixtures("finished")
def test_which_markets_are_there(browser: Chrome, system: RunningSystem, tmp_path: Path) -> None:
    show(browser, system, "/app/markets")
    check_no_errors(browser)
    picture(browser, "dashboard-markets-light", 900, tmp_path)


@pytest.mark.usefixtures("finished")
def test_what_was_sent_and_why(browser: Chrome, system: RunningSystem, tmp_path: Path) -> None:
    show(browser, system, "/app")
    newest = system.get("/api/submissions?limit=1")["submissions"][0]
    wait_for_text(browser, newest["signature"][:5], "td")
    picture(browser, "dashboard-submissions", 760, tmp_path, at="Last submissions")


@pytest.mark.usefixtures("finished")
def test_what_is_wrong_and_what_do_i_do(
    browser: Chrome, system: RunningSystem, tmp_path: Path
) -> None:
    with acting(system, Role.PIPELINES) as conn:
        policy = Policy(failures=1, pauses=(timedelta(hours=1),))
        breaker_rows.failed(conn, BREAKER, "RpcUnavailable: no endpoint answered", policy)
    assert system.run("switch", "approve_proposal", "off", "--reason", "a review").returncode == 0
    try:
        system.wait_for(lambda: status_of(system) in ("degraded", "down"), 120, "degraded")
        show(browser, system, "/app")
        wait_for_text(browser, "The system is", ".system-verdict-word")
        wait_for_text(browser, "Do:", ".system-verdict")
        wait_for_text(browser, "Switch", ".alert")
        wait_for_text(browser, "runbook", ".alert")
        picture(browser, "dashboard-degraded", 1500, tmp_path)
        # A market's page still answers its question, and names what is in the way.
        market = system.get("/api/markets?limit=1")["markets"][0]
        show(browser, system, f"/app/markets/{market['id']}")
        waits = system.get(f"/api/markets/{market['id']}/status")["waits_for"]
        wait_until(
            lambda: waits.casefold() in " ".join(texts(browser, ".waits-for")).casefold(),
            "the page says what the market waits for",
        )
        open_page(browser, f"{system.api}/app/runbooks/breaker")
        wait_for_text(browser, "zmart breakers reset", "pre")
        check_no_errors(browser)
    finally:
        assert system.run("switch", "approve_proposal", "on").returncode == 0
        reset = system.run("breakers", "reset", BREAKER, "--reason", "end of a drill")
        assert reset.returncode == 0, reset.stderr
