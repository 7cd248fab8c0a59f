"""The dashboard while parts of the system are killed or stand still.

The system is one of their own, and nothing else runs meanwhile: tests with the shared system would
meet the outages.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

import psutil
import pytest
from selenium.webdriver import Chrome

from tests.fixtures.running_system import RunningSystem
from tests.system.market_lives import two_markets_finished
from tests.system.parts import acting, kill
from tests.system.web_pages import SENTENCES, open_page, texts, wait_for_text, wait_until
from zmart_pipelines.monitoring.alerts import AlertKey, clear_alert, raise_alert
from zmart_pipelines.store.engine import Role

pytestmark = [pytest.mark.system, pytest.mark.timed, pytest.mark.timeout(900)]

# Figures that are not marked as old. A document that is named by its hash cannot become so.
FRESH = "main .panel:not(.stale, :has(.document)) > .as-of"


@pytest.fixture(scope="module")
def system() -> Iterator[RunningSystem]:
    with RunningSystem() as running:
        running.start()
        running.wait_for(lambda: two_markets_finished(running), 400, "two markets finished")
        yield running


def is_right(browser: Chrome, system: RunningSystem) -> bool:
    """Return whether the page agrees with the API: verdict, newest submission, coverage."""
    if texts(browser, ".stale") or texts(browser, ".connection") != ["Live"]:
        return False
    verdict = SENTENCES[system.get("/health/services")["status"]]
    newest = system.get("/api/submissions?limit=1")["submissions"][0]
    holes = system.get("/api/coverage")["uncovered_intervals"]
    shown = " ".join(texts(browser, "main"))
    return (
        texts(browser, ".system-verdict-word") == [verdict]
        and newest["signature"][:5] in shown
        and ("No holes" in shown) == (holes == 0)
    )


def test_killed_api_is_shown_and_the_page_is_right_afterwards(
    browser: Chrome, system: RunningSystem
) -> None:
    open_page(browser, f"{system.api}/app")
    wait_for_text(browser, "Live", ".connection")
    kill(system.pid("api"))
    wait_for_text(browser, "Reconnecting since", ".connection")
    wait_for_text(browser, "stale", ".as-of")
    wait_for_text(browser, "Live", ".connection")
    wait_until(lambda: is_right(browser, system), "the page agrees with the API")


def test_figures_of_a_frozen_api_are_not_shown_as_fresh(
    browser: Chrome, system: RunningSystem
) -> None:
    open_page(browser, f"{system.api}/app")
    wait_until(lambda: is_right(browser, system), "the page agrees with the API")
    api = psutil.Process(system.pid("api"))
    api.suspend()
    try:
        # The longest time for which figures of this page count as fresh is a minute.
        wait_for_text(browser, "The health is unknown.", ".system-verdict-word")
        wait_until(
            lambda: (
                "Reconnecting since" in " ".join(texts(browser, ".connection"))
                and not texts(browser, FRESH)
            ),
            "every figure is marked as stale",
        )
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):  # the supervisor may have ended it
            api.resume()
    wait_until(lambda: is_right(browser, system), "the page agrees with the API")


@pytest.fixture
def answers(system: RunningSystem) -> dict[str, tuple[str, str]]:
    """What each page answers: by its path the place of the answer, and a text in it."""
    (market, *_) = system.get("/api/markets?limit=1&state=FINALIZED")["markets"]
    trade = system.get(f"/api/markets/{market['id']}/trades?limit=1")["trades"][0]
    return {
        "/app": (".map", "Submitter"),
        "/app/markets": (".question", market["question"]),
        f"/app/markets/{market['id']}": (".waits-for", waits_for(system, market["id"])),
        f"/app/wallets/{trade['user_wallet']}": ("td", market["question"]),
    }


def waits_for(system: RunningSystem, market: str) -> str:
    # The page writes its first letter large.
    return str(system.get(f"/api/markets/{market}/status")["waits_for"])[1:]


def test_every_page_keeps_its_answer_and_says_that_it_is_old(
    browser: Chrome, system: RunningSystem, answers: dict[str, tuple[str, str]]
) -> None:
    with each_in_a_window(browser, system, answers) as show:
        for path, (place, text) in answers.items():
            show(path)
            wait_for_text(browser, text, place)
            wait_until(lambda: not texts(browser, ".stale"), f"{path} is fresh")
        api = psutil.Process(system.pid("api"))
        api.suspend()
        try:
            for path, (place, text) in answers.items():
                show(path)
                wait_for_text(browser, "Reconnecting since", ".connection")
                wait_until(lambda: not texts(browser, FRESH), f"{path} marks every figure")
                wait_for_text(browser, text, place)
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):  # the supervisor may have ended it
                api.resume()
        for path, (place, text) in answers.items():
            show(path)
            wait_for_text(browser, "Live", ".connection")
            wait_until(lambda: not texts(browser, ".stale"), f"{path} is fresh again")
            wait_for_text(browser, text, place)


def test_every_page_answers_its_question_without_redis_and_daemon(
    browser: Chrome, system: RunningSystem, answers: dict[str, tuple[str, str]]
) -> None:
    stopped = [psutil.Process(system.pid(name)) for name in ("redis", "daemon")]
    for process in stopped:
        process.suspend()
    try:
        for path, (place, text) in answers.items():
            open_page(browser, f"{system.api}{path}")
            wait_for_text(browser, text, place)
            wait_until(lambda: not texts(browser, ".waiting"), f"{path} is read")
    finally:
        for process in stopped:
            with contextlib.suppress(psutil.NoSuchProcess):  # the supervisor may have ended it
                process.resume()
    open_page(browser, f"{system.api}/app")
    wait_until(lambda: is_right(browser, system), "the page agrees with the API")


@contextlib.contextmanager
def each_in_a_window(
    browser: Chrome, system: RunningSystem, pages: Iterable[str]
) -> Iterator[Callable[[str], None]]:
    """Open each page in a window of its own; yield what switches to one."""
    first = browser.current_window_handle
    windows = {}
    try:
        for path in pages:
            browser.switch_to.new_window("window")
            windows[path] = browser.current_window_handle
            open_page(browser, f"{system.api}{path}")
        yield lambda path: browser.switch_to.window(windows[path])
    finally:
        for window in windows.values():
            browser.switch_to.window(window)
            browser.close()
        browser.switch_to.window(first)


def test_page_stays_right_while_redis_is_killed(browser: Chrome, system: RunningSystem) -> None:
    open_page(browser, f"{system.api}/app")
    wait_until(lambda: is_right(browser, system), "the page agrees with the API")
    key = AlertKey("run", subject="drill_without_redis")
    kill(system.pid("redis"))
    with acting(system, Role.PIPELINES) as conn:
        raise_alert(conn, key, "high", "a drill")
    try:
        # Frames come by polling while no signal does.
        wait_until(
            lambda: any("high: Run" in one for one in texts(browser, ".alert")),
            "the alert of meanwhile is shown",
        )
    finally:
        with acting(system, Role.PIPELINES) as conn:
            clear_alert(conn, key)
    wait_until(lambda: is_right(browser, system), "the page agrees with the API")
