"""The dashboard's pages of a market and of a wallet, in a browser against the running system."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.fixtures.running_system import RunningSystem
from tests.fixtures.web_pages import (
    PHONE,
    WIDE,
    accessibility_problems,
    answers_instead,
    check_no_errors,
    console,
    picture,
    screen,
    script_before_pages,
    scrolls_sideways,
    set_theme,
    wait_for_text,
    wait_until_read,
)
from tests.system.market_lives import two_markets_finished
from zmart_pipelines.ipfs.canonical_json import canonical_bytes
from zmart_pipelines.ipfs.cid import cid_v0
from zmart_pipelines.program.accounts import MarketAccount, decode_as, encode_account

pytestmark = pytest.mark.system

LIFE_SECONDS = 300
PANELS = 8
RIGHT = "The count is right"
WRONG = "Do not trust this count"


def read(system: RunningSystem, path: str) -> Any:
    answer = httpx.get(f"{system.api}{path}", timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
def market(running_system: RunningSystem) -> dict[str, Any]:
    """A finished market whose outcome was disputed, so that it has both kinds of vote."""
    running_system.wait_for(
        lambda: two_markets_finished(running_system), LIFE_SECONDS, "two markets finished"
    )
    markets = read(running_system, "/api/markets?limit=100")["markets"]
    disputed = [one for one in markets if one["state"] == "FINALIZED" and one["was_disputed"]]
    return dict(disputed[-1])


@pytest.fixture
def tally(running_system: RunningSystem, market: dict[str, Any]) -> dict[str, Any]:
    tallies = read(running_system, f"/api/markets/{market['id']}/tallies")["tallies"]
    return next(one for one in tallies if one["kind"] == "proposal")


def show(browser: Chrome, system: RunningSystem, path: str, panels: int) -> None:
    console(browser)
    browser.get(f"{system.api}{path}")
    wait_until_read(browser, panels)


def show_market(browser: Chrome, system: RunningSystem, market: dict[str, Any]) -> None:
    show(browser, system, f"/app/markets/{market['id']}", PANELS)


def recount(browser: Chrome, number: int = 0) -> str:
    """Click on a recount; return its verdict."""
    part = WebDriverWait(browser, 30).until(
        lambda b: b.find_elements(By.CSS_SELECTOR, ".recount-of")
    )[number]
    button = part.find_element(By.CSS_SELECTOR, "button.primary")
    WebDriverWait(browser, 30).until(lambda _: button.is_enabled())
    browser.execute_script("arguments[0].click()", button)
    WebDriverWait(browser, 60).until(lambda _: part.find_elements(By.CSS_SELECTOR, ".verdict"))
    return part.text


def test_a_market_says_what_it_waits_for_and_how_it_came_there(
    browser: Chrome, running_system: RunningSystem, market: dict[str, Any]
) -> None:
    status = read(running_system, f"/api/markets/{market['id']}/status")
    show_market(browser, running_system, market)
    waits = browser.find_element(By.CSS_SELECTOR, ".waits-for").text
    assert waits.casefold() == status["waits_for"].casefold()
    wait_for_text(
        browser,
        market["question"],
        "Opened for trading",
        "Outcome disputed",
        "Outcome final",
        "finalize market",
        "fee 0.000005",
        "its bytes have this CID",
        "The proposal is approved if",
        "threshold reached",
        "Largest positions",
    )
    assert browser.find_elements(By.CSS_SELECTOR, ".price-chart canvas")
    assert browser.find_elements(By.CSS_SELECTOR, ".depth path[d^=M]")
    dagster = {
        link.get_attribute("href")
        for link in browser.find_elements(By.CSS_SELECTOR, ".timeline a")
        if "/runs/" in str(link.get_attribute("href"))
    }
    runs = {
        str(run)
        for (run,) in running_system.query("SELECT run_id FROM ops.attempts WHERE run_id <> ''")
    }
    assert dagster
    assert {str(link).rsplit("/", 1)[1] for link in dagster} <= runs
    check_no_errors(browser)


def test_a_pinned_day_of_the_discussion_leads_to_its_partition(
    browser: Chrome, running_system: RunningSystem, market: dict[str, Any]
) -> None:
    end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    day = f"{end - timedelta(days=1):%Y-%m-%d}"
    snapshot = {
        "market_id": market["id"],
        "day": day,
        "part": 1,
        "parts": 1,
        "comments": 3,
        "cid": market["ipfs_question_hash"],
        "url": f"/ipfs/{market['ipfs_question_hash']}",
        "period_from": None,
        "period_to": end.isoformat(),
        "pinned_at": end.isoformat(),
    }
    answer = {"snapshots": [snapshot], "count": 1, "limit": 5, "offset": 0, "next": None}
    with script_before_pages(browser, answers_instead({"/snapshots": json.dumps(answer)})):
        show_market(browser, running_system, market)
        wait_for_text(browser, f"Discussion of {day} pinned")
        link = browser.find_element(By.CSS_SELECTOR, ".timeline a[href*='partition=']")
        target = str(link.get_attribute("href"))
    assert target.endswith(f"/discussion_snapshots?view=partitions&partition={day}")
    browser.get(target)
    WebDriverWait(browser, 60).until(
        lambda b: day in b.find_element(By.TAG_NAME, "body").text, f"Dagster shows {day}"
    )


def test_both_tallies_are_recounted_by_a_click(
    browser: Chrome, running_system: RunningSystem, market: dict[str, Any], tmp_path: Path
) -> None:
    show_market(browser, running_system, market)
    for number in (0, 1):
        verdict = recount(browser, number)
        assert RIGHT in verdict, verdict
        assert "The market's account on chain has these counts" in verdict
        assert "Votes cast on chain are counted" in verdict
    check_no_errors(browser)
    picture(browser, "dashboard-recount", 900, tmp_path, at="Can I trust the count?")


def changed_ballot(system: RunningSystem, tally: dict[str, Any]) -> dict[str, Any]:
    """One ballot the other way round, published under the CID that it then has."""
    document = read(system, tally["bundle_url"])
    ballot = next(one for one in document["ballots"] if one["source"] == "wallet")
    ballot["choice"] = not ballot["choice"]
    data = canonical_bytes(document)
    cid = cid_v0(data)
    return {"/tallies": [[tally["bundle_cid"], cid]], f"/ipfs/{cid}": data.decode()}


def other_bytes(system: RunningSystem, tally: dict[str, Any]) -> dict[str, Any]:
    """The bundle with one ballot changed, under the CID of the first."""
    text = httpx.get(f"{system.api}{tally['bundle_url']}", timeout=60).text
    return {tally["bundle_url"]: text.replace('"choice":true', '"choice":false', 1)}


def other_counts_on_chain(system: RunningSystem, tally: dict[str, Any]) -> dict[str, Any]:
    """One like more in the account that the RPC endpoint returns."""
    rpc = f"http://127.0.0.1:{system.environment['LOCALNET_PORT']}"
    address = read(system, f"/api/markets/{tally['market_id']}")["on_chain_address"]
    call = {"jsonrpc": "2.0", "id": 1, "method": "getAccountInfo"}
    answer = httpx.post(
        rpc, json={**call, "params": [address, {"encoding": "base64"}]}, timeout=60
    ).json()
    data = answer["result"]["value"]["data"][0]
    account = decode_as(MarketAccount, base64.b64decode(data))
    lie = msgspec.structs.replace(account, proposal_likes=account.proposal_likes + 1)
    return {rpc: [[data, base64.b64encode(encode_account(lie)).decode()]]}


def other_counts_in_the_api(_: RunningSystem, tally: dict[str, Any]) -> dict[str, Any]:
    votes = tally["votes_for"]
    return {"/tallies": [[f'"votes_for":"{votes}"', f'"votes_for":"{votes + 1}"']]}


Lie = Callable[[RunningSystem, dict[str, Any]], dict[str, Any]]


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        (changed_ballot, "the message states the other choice"),
        (other_bytes, "contains other bytes"),
        (other_counts_on_chain, "the market's account has"),
        (other_counts_in_the_api, "the API states"),
    ],
)
def test_a_recount_is_red(
    browser: Chrome,
    running_system: RunningSystem,
    market: dict[str, Any],
    tally: dict[str, Any],
    lie: Lie,
    words: str,
) -> None:
    with script_before_pages(browser, answers_instead(lie(running_system, tally))):
        show_market(browser, running_system, market)
        parts = browser.find_elements(By.CSS_SELECTOR, ".recount-of")
        number = next(n for n, part in enumerate(parts) if "Proposal" in part.text)
        verdict = recount(browser, number)
    assert WRONG in verdict, verdict
    assert words in verdict, verdict


def test_figures_that_cannot_be_read_again_are_marked_as_stale(
    browser: Chrome, running_system: RunningSystem, market: dict[str, Any]
) -> None:
    show_market(browser, running_system, market)
    assert not browser.find_elements(By.CSS_SELECTOR, ".stale")
    browser.execute_script(
        "globalThis.fetch = () => Promise.reject(new TypeError('no network'));"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    WebDriverWait(browser, 30).until(
        lambda b: len(b.find_elements(By.CSS_SELECTOR, ".panel.stale")) >= PANELS - 1
    )
    wait_for_text(browser, "stale: The API does not answer.", market["question"])


def test_a_wallet_shows_what_it_holds_made_and_voted(
    browser: Chrome, running_system: RunningSystem, market: dict[str, Any], tmp_path: Path
) -> None:
    trade = read(running_system, f"/api/markets/{market['id']}/trades?limit=1")["trades"][0]
    wallet = trade["user_wallet"]
    show(browser, running_system, f"/app/wallets/{wallet}", 5)
    wait_for_text(browser, market["question"], "Profit and loss", "Shares bought", "proposal: ")
    check_no_errors(browser)
    picture(browser, "dashboard-wallet", 1000, tmp_path)


def test_a_market_that_does_not_exist_is_said_so(
    browser: Chrome, running_system: RunningSystem
) -> None:
    browser.get(f"{running_system.api}/app/markets/{'00' * 32}")
    wait_for_text(browser, "No such market")


@pytest.mark.parametrize("size", [WIDE, PHONE])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("page", ["markets", "wallets"])
def test_pages_are_accessible(
    browser: Chrome,
    running_system: RunningSystem,
    market: dict[str, Any],
    page: str,
    theme: str,
    size: tuple[int, int],
) -> None:
    name = market["id"] if page == "markets" else market["creator_wallet"]
    with screen(browser, size):
        show(browser, running_system, f"/app/{page}/{name}", 5)
        set_theme(browser, theme)
        if page == "markets":
            assert RIGHT in recount(browser)
        assert accessibility_problems(browser) == []
        assert not scrolls_sideways(browser)
