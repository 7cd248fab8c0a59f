"""What operators do on the dashboard, each act to its end in the running system.

The page is driven as a person would, with wallets that have real keys. An act is done when the
pipelines have carried it out, its row is in the audit log, and the page shows the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import psutil
import pytest
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait
from solders.keypair import Keypair
from sqlalchemy import text

from demo.script import CAST
from demo.wallets import load_wallets
from localnet.keys import read_keys
from tests.fixtures.browser_wallets import wallets_script
from tests.fixtures.running_system import RunningSystem
from tests.fixtures.web_pages import accessibility_problems, script_before_pages
from tests.system.parts import acting
from tests.system.web_pages import click, errors, open_page, texts, wait_for_text, wait_until
from zmart_pipelines.breakers import breaker_rows
from zmart_pipelines.breakers.machine import Policy
from zmart_pipelines.ledger.readers.deliveries import MAX_ATTEMPTS
from zmart_pipelines.monitoring.alerts import AlertKey, clear_alert, raise_alert
from zmart_pipelines.store.engine import Role
from zmart_pipelines.wallet_transactions.acts.update_config import UpdateConfig

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

OPERATOR, OTHER = Keypair(), Keypair()
# Seconds until an order must be carried out, on a machine that does other work as well.
ORDER_SECONDS = 120
# Read by no instruction of the program, so that its change disturbs nothing.
DELAY = "min_resolution_delay"
PARAMETERS = UpdateConfig.__struct_fields__
RECORD_FRAMES = """
globalThis.frames = [];
const Socket = globalThis.WebSocket;
globalThis.WebSocket = class extends Socket {
  constructor(...given) {
    super(...given);
    this.addEventListener('message', ({ data }) => {
      for (const one of [JSON.parse(data)].flat()) if (one.prev !== undefined) frames.push(one);
    });
  }
};
"""
LABELS = (
    "Switch off …",
    "Switch on …",
    "Reset …",
    "Acknowledge …",
    "Silence …",
    "End silence …",
    "Ingest again …",
    "Backfill …",
    "Resolve a market …",
    "Admin’s transaction …",
    "Retry …",
    "Close …",
)


@pytest.fixture(scope="module")
def system() -> Iterator[RunningSystem]:
    """A system whose operator is our wallet; the cast stands still once a market is open."""
    running = RunningSystem(OPERATORS=str(OPERATOR.pubkey()))
    try:
        running.start()
        running.wait_for(lambda: running.states().get("ACTIVE", 0) > 0, 300, "one market active")
        psutil.Process(running.pid("demo")).suspend()
        yield running
    finally:
        running.discard()


@pytest.fixture
def page(browser: Chrome, system: RunningSystem) -> Iterator[Chrome]:
    """The page System, signed in with the operator's wallet."""
    admin = read_keys(system.state / "localnet" / "keys")["admin"]
    wallets = {"Operator’s wallet": OPERATOR, "Admin’s wallet": admin, "Some wallet": OTHER}
    with script_before_pages(browser, wallets_script(wallets)):
        open_page(browser, f"{system.api}/app")
        sign_in(browser, "Operator’s wallet")
        wait_for_text(browser, "Orders of operators", "h2")
        yield browser
        browser.execute_script("localStorage.clear()")
        browser.delete_all_cookies()


def sign_in(browser: Chrome, wallet: str) -> None:
    click(browser, "Sign in")
    label = f"//dialog//label[normalize-space()='{wallet}']/input"
    browser.find_element(By.XPATH, label).click()
    browser.find_element(By.CSS_SELECTOR, "dialog button[type=submit]").click()
    wait_until(lambda: not browser.find_elements(By.CSS_SELECTOR, "dialog"), "signed in")


def panel(browser: Chrome, title: str) -> WebElement:
    path = f"//section[contains(@class,'panel')][.//h2[starts-with(normalize-space(),'{title}')]]"
    return browser.find_element(By.XPATH, path)


def press(browser: Chrome, title: str, label: str, beside: str = "") -> None:
    """Press a button of a panel, of the row or item that contains ``beside``."""
    place = f"[ancestor::*[self::tr or self::li][contains(.,'{beside}')]]" if beside else ""
    path = f".//button[normalize-space()='{label}']{place}"

    def pressed() -> bool:
        try:
            button = panel(browser, title).find_element(By.XPATH, path)
            browser.execute_script("arguments[0].click()", button)
        except (NoSuchElementException, StaleElementReferenceException):
            return False
        return True

    wait_until(pressed, f"{label} is in the panel {title}")


def opened(browser: Chrome) -> WebElement:
    """Return the dialog, once it is open."""
    return WebDriverWait(browser, 30).until(
        lambda b: b.find_element(By.CSS_SELECTOR, "dialog[open]")
    )


def fill(browser: Chrome, reason: str, **fields: str) -> None:
    """Fill in the dialog with a reason, and send it."""
    dialog = opened(browser)
    for name, value in {**fields, "reason": reason}.items():
        field = dialog.find_element(By.NAME, name)
        if field.tag_name == "select":
            Select(field).select_by_visible_text(value)
        elif field.get_attribute("type") == "checkbox":
            field.click()
        else:
            field.clear()
            field.send_keys(value)
    dialog.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
    wait_until(
        lambda: (
            reason
            not in str(
                browser.execute_script(
                    "return document.querySelector('dialog[open] [name=reason]')?.value ?? ''"
                )
            )
        ),
        "the dialog is sent: " + " ".join(texts(browser, "dialog [role=alert]")),
    )


def carried_out(system: RunningSystem, browser: Chrome, reason: str) -> str:
    """Wait for the order's end in the database and on the page; return its result."""

    def status() -> list[tuple[Any, ...]]:
        with acting(system, Role.PIPELINES) as conn:
            rows = conn.execute(
                text("SELECT status, result, run_id FROM ops.orders WHERE reason = :reason"),
                {"reason": reason},
            )
            return [tuple(row) for row in rows]

    system.wait_for(
        lambda: bool(status()) and status()[0][0] in ("done", "failed"), ORDER_SECONDS, reason
    )
    ((end, result, run),) = status()
    assert end == "done", result
    assert run, "a run carried it out"
    row = "//section[.//h2[.='Orders of operators']]//tr"
    wait_until(
        lambda: any(
            reason in one.text and "done" in one.text
            for one in browser.find_elements(By.XPATH, row)
        ),
        f"the page shows that it is done: {reason}",
    )
    wait_for_text(browser, reason, "section[aria-labelledby] td")
    return str(result)


def check_audited(system: RunningSystem, action: str, reason: str) -> dict[str, Any]:
    """Assert that the operator's act is in the audit log once; return its details."""
    with acting(system, Role.OWNER) as conn:
        rows = conn.execute(
            text(
                "SELECT wallet, entry_point, details FROM ops.audit"
                " WHERE action = :action AND reason = :reason AND entry_point = 'api'"
            ),
            {"action": action, "reason": reason},
        ).all()
    ((wallet, _, details),) = rows
    assert bytes(wallet) == bytes(OPERATOR.pubkey())
    return dict(details)


def shown(browser: Chrome, title: str, *words: str) -> Callable[[], bool]:
    return lambda: all(word in panel(browser, title).text for word in words)


def test_alert_is_acknowledged_and_silenced(page: Chrome, system: RunningSystem) -> None:
    key = AlertKey("run", subject="drill_of_the_page")
    with acting(system, Role.PIPELINES) as conn:
        raise_alert(conn, key, "high", "The drill's run failed: no space left")
    try:
        # Operators see the text, which visitors do not.
        wait_until(shown(page, "Open alerts", "no space left", "runbook"), "the alert is shown")
        press(page, "Open alerts", "Acknowledge …", "no space left")
        fill(page, "I look at it")
        wait_until(shown(page, "Open alerts", "acknowledged by"), "it is acknowledged")
        check_audited(system, "acknowledge_alert", "I look at it")
        press(page, "Open alerts", "Silence …", "no space left")
        fill(page, "known until noon", hours="4 h")
        wait_until(shown(page, "Open alerts", "Silenced now", "known until noon"), "silenced")
        silences = system.query(
            "SELECT topic, subject, ends_at - created_at FROM ops.alert_silences"
        )
        assert [(topic, subject) for topic, subject, _ in silences] == [("run", key.subject)]
        assert abs(silences[0][2] - timedelta(hours=4)) < timedelta(minutes=1)
        check_audited(system, "silence_alerts", "known until noon")
        press(page, "Open alerts", "End silence …", "known until noon")
        fill(page, "it is mended")
        wait_until(
            lambda: "Silenced now" not in panel(page, "Open alerts").text, "the silence has ended"
        )
        assert accessibility_problems(page) == []
    finally:
        with acting(system, Role.PIPELINES) as conn:
            clear_alert(conn, key)
    wait_until(lambda: "no space left" not in panel(page, "Open alerts").text, "it is cleared")


def test_switch_is_set_off_and_on(page: Chrome, system: RunningSystem) -> None:
    press(page, "Kill switches", "Switch off …", "Finalize market")
    fill(page, "wrong counts")
    carried_out(system, page, "wrong counts")
    switch = "SELECT enabled FROM ops.switches WHERE action = 'finalize_market'"
    assert system.query(switch) == [(False,)]
    check_audited(system, "order_switch", "wrong counts")
    wait_until(shown(page, "Kill switches", "stopped", "wrong counts"), "it is shown as stopped")
    press(page, "Kill switches", "Switch on …", "Finalize market")
    fill(page, "counts are right again")
    carried_out(system, page, "counts are right again")
    assert system.query(switch) == [(True,)]
    wait_until(lambda: "stopped" not in panel(page, "Kill switches").text, "it sends again")


def test_breaker_is_reset(page: Chrome, system: RunningSystem) -> None:
    name = "action:activate_market"
    with acting(system, Role.PIPELINES) as conn:
        policy = Policy(failures=1, pauses=(timedelta(hours=1),))
        breaker_rows.failed(conn, name, "no answer", policy)
    wait_until(shown(page, "Circuit breakers", "open"), "the breaker is shown as open")
    press(page, "Circuit breakers", "Reset …", name)
    fill(page, "the cause is removed")
    carried_out(system, page, "the cause is removed")
    assert system.query(f"SELECT state FROM ops.breakers WHERE name = '{name}'") == [("closed",)]
    check_audited(system, "order_breaker_reset", "the cause is removed")
    wait_until(
        lambda: not panel(page, "Circuit breakers").find_elements(By.CSS_SELECTOR, ".status.bad"),
        "the page shows no open breaker",
    )


def test_failed_delivery_is_ingested_again(page: Chrome, system: RunningSystem) -> None:
    with acting(system, Role.OWNER) as conn:
        delivery = conn.execute(
            text(
                "UPDATE chain.deliveries SET status = 'failed', error = 'a drill',"
                " attempts = :attempts, ingested_at = NULL"
                " WHERE id = (SELECT max(id) FROM chain.deliveries WHERE status = 'ingested')"
                " RETURNING id"
            ),
            {"attempts": MAX_ATTEMPTS},
        ).scalar_one()
    press(page, "Failed webhook deliveries", "Ingest again …", str(delivery))
    fill(page, "the decoder is mended")
    carried_out(system, page, "the decoder is mended")
    found = system.query(f"SELECT status FROM chain.deliveries WHERE id = {int(delivery)}")
    assert found == [("ingested",)]
    check_audited(system, "order_redeliver", "the decoder is mended")
    wait_until(shown(page, "Failed webhook deliveries", "No delivery failed"), "none is left")


def test_hole_is_backfilled(page: Chrome, system: RunningSystem) -> None:
    # The pipelines would fill it by themselves within a minute.
    daemon = psutil.Process(system.pid("daemon"))
    daemon.suspend()
    try:
        order_backfill_of_a_hole(page, system)
    finally:
        daemon.resume()
    carried_out(system, page, "slots were missed")
    check_audited(system, "order_backfill", "slots were missed")
    wait_until(shown(page, "Coverage", "No holes"), "the hole is gone")


def order_backfill_of_a_hole(page: Chrome, system: RunningSystem) -> None:
    with acting(system, Role.OWNER) as conn:
        first = conn.execute(
            text(
                "WITH old AS (SELECT id, lower(slots) AS first, upper(slots) AS behind"
                " FROM chain.coverage ORDER BY lower(slots) LIMIT 1), shrunk AS ("
                " UPDATE chain.coverage AS c SET slots = int8range(old.first + 10, old.behind)"
                " FROM old WHERE c.id = old.id RETURNING c.id)"
                " SELECT first FROM old, shrunk"
            )
        ).scalar_one()
        conn.execute(
            text("INSERT INTO chain.coverage (slots) VALUES (int8range(:first, :behind))"),
            {"first": first, "behind": first + 4},
        )
    wait_until(shown(page, "Coverage", "1 hole"), "the hole is shown")
    press(page, "Coverage", "Backfill …", "missing")
    dialog = opened(page)
    assert dialog.find_element(By.NAME, "first").get_attribute("value") == str(first + 4)
    assert dialog.find_element(By.NAME, "last").get_attribute("value") == str(first + 9)
    fill(page, "slots were missed")


def test_failed_submissions_are_closed_and_retried(page: Chrome, system: RunningSystem) -> None:
    market = system.get("/api/markets?limit=1")["markets"][0]["id"]
    failed = (
        "INSERT INTO ops.intents (market_id, action, arguments, round, status, reason, failures)"
        " VALUES (:market, 'finalize_market', '{}', :round, 'failed', :reason, 5)"
    )
    with acting(system, Role.PIPELINES) as conn:
        for number, why in ((4, "a drill to close"), (5, "a drill to retry")):
            conn.execute(
                text(failed), {"market": bytes.fromhex(market), "round": number, "reason": why}
            )
    press(page, "Last submissions", "Close …", "a drill to close")
    fill(page, "it was a drill")
    carried_out(system, page, "it was a drill")
    check_audited(system, "order_close_submission", "it was a drill")
    wait_until(shown(page, "Last submissions", "closed: it was a drill"), "it is shown as closed")
    press(page, "Last submissions", "Retry …", "a drill to retry")
    fill(page, "the cause is mended")
    carried_out(system, page, "the cause is mended")
    check_audited(system, "order_retry_submission", "the cause is mended")
    intent = "SELECT status FROM ops.intents WHERE action = 'finalize_market' AND round = 5"
    assert system.query(intent) != [("failed",)]
    wait_until(
        lambda: "a drill to retry" not in panel(page, "Last submissions").text,
        "the page shows that it was planned again",
    )


def test_market_is_resolved_with_evidence(page: Chrome, system: RunningSystem) -> None:
    market = next(
        one for one in system.get("/api/markets?limit=100")["markets"] if one["state"] == "ACTIVE"
    )
    page.get(f"{system.api}/app/markets/{market['id']}")
    press(page, "Waits for", "Resolve a market …")
    fill(
        page,
        "the question is decided",
        outcome="YES",
        evidence="Three exchanges closed above 200.",
        before_end="on",
    )
    page.get(f"{system.api}/app")
    carried_out(system, page, "the question is decided")
    check_audited(system, "order_resolve_market", "the question is decided")
    system.wait_for(
        lambda: system.get(f"/api/markets/{market['id']}")["state"] == "RESOLVING",
        ORDER_SECONDS,
        "the market is resolved on chain",
    )
    page.get(f"{system.api}/app/markets/{market['id']}")
    wait_for_text(page, "Outcome proposed", ".timeline")
    wait_for_text(page, "resolve market", ".timeline")
    wait_for_text(page, "Resolving", ".lead")


@pytest.mark.parametrize(
    ("act", "is_paused"), [("Pause the protocol", True), ("End the pause of the protocol", False)]
)
def test_admins_wallet_signs_what_was_prepared(
    page: Chrome, system: RunningSystem, act: str, is_paused: bool
) -> None:
    reason = f"drill: {act}"
    press(page, "Orders of operators", "Admin’s transaction …")
    fill(page, reason, act=act, wallet="Admin’s wallet")
    wait_for_text(page, "creating markets and trading", "dialog[open]")
    click(page, "Sign and send")
    wait_for_text(page, "landed", "[role=status]")
    details = check_audited(system, "prepare_admin_transaction", reason)
    assert details["arguments"]["paused"] is is_paused
    newest = "SELECT is_paused FROM market.config_history ORDER BY slot DESC LIMIT 1"
    system.wait_for(
        lambda: system.query(newest) == [(is_paused,)], ORDER_SECONDS, f"paused: {is_paused}"
    )


def test_parameters_of_the_protocol_are_changed(page: Chrome, system: RunningSystem) -> None:
    before = system.get("/api/protocol")
    press(page, "Orders of operators", "Admin’s transaction …")
    dialog = opened(page)
    Select(dialog.find_element(By.NAME, "act")).select_by_visible_text(
        "Change the protocol’s parameters"
    )
    wait_until(lambda: bool(dialog.find_elements(By.NAME, DELAY)), "the parameters are shown")
    for name, value in before["exact"].items():
        assert dialog.find_element(By.NAME, name).get_attribute("value") == value
    fee = dialog.find_element(By.NAME, "protocol_fee_bps")
    in_force = str(fee.get_attribute("value"))
    assert in_force == str(before["protocol_fee_bps"])
    assert accessibility_problems(page) == []

    # What no parameter can have is refused by the name of its field, before a wallet is asked.
    reason = "a drill: a later resolution"
    dialog.find_element(By.NAME, "reason").send_keys(reason)
    Select(dialog.find_element(By.NAME, "wallet")).select_by_visible_text("Admin’s wallet")
    rewrite(fee, "10001")
    delay = dialog.find_element(By.NAME, DELAY)
    rewrite(delay, str(int(before["exact"][DELAY]) + 1))
    click(page, "Prepare")
    wait_for_text(page, "Protocol’s fee: a whole number of basis points", "[role=alert]")
    # What the program refuses is said in its words.
    rewrite(fee, "9999")
    click(page, "Prepare")
    wait_for_text(page, "The three fees add up to", "[role=alert]")
    rewrite(fee, in_force)
    click(page, "Prepare")
    change = f"Changes {DELAY} from {before['exact'][DELAY]} to {int(before['exact'][DELAY]) + 1}."
    wait_for_text(page, change, "dialog[open]")
    assert len(page.find_elements(By.CSS_SELECTOR, ".effects li")) == 1
    click(page, "Sign and send")
    wait_for_text(page, "landed", "[role=status]")
    details = check_audited(system, "prepare_admin_transaction", reason)
    assert details["kind"] == "update-config"
    after = {**before, DELAY: before[DELAY] + 1}
    system.wait_for(
        lambda: (
            {name: system.get("/api/protocol")[name] for name in PARAMETERS}
            == {name: after[name] for name in PARAMETERS}
        ),
        ORDER_SECONDS,
        "one parameter is changed, the others stay",
    )


def rewrite(field: WebElement, value: str) -> None:
    field.clear()
    field.send_keys(value)


def test_another_wallet_and_visitors_see_nothing_of_it(page: Chrome, system: RunningSystem) -> None:
    click(page, "Sign out")
    wait_until(lambda: "Orders of operators" not in texts(page, "h2"), "it is gone at once")

    def check_nothing_is_offered() -> None:
        wait_for_text(page, "Finalize market", "td")
        assert not set(LABELS) & set(texts(page, "main button"))
        assert not {"Orders of operators", "Audit log"} & set(texts(page, "h2"))

    check_nothing_is_offered()
    sign_in(page, "Some wallet")
    wait_for_text(page, str(OTHER.pubkey())[:4], ".who")
    check_nothing_is_offered()
    assert "operator" not in " ".join(texts(page, ".who"))
    assert [one for one in errors(page) if "/health/services" not in one] == []


def test_own_wallet_is_followed_live(browser: Chrome, system: RunningSystem) -> None:
    psutil.Process(system.pid("demo")).resume()
    positions = 'SELECT DISTINCT "user" FROM market.positions'
    system.wait_for(lambda: bool(system.query(positions)), 300, "someone has traded")
    holders = {bytes(user) for (user,) in system.query(positions)}
    cast = load_wallets(system.state / "demo" / "wallets.json", CAST).values()
    wallet = next(one for one in cast if bytes(one.pubkey()) in holders)
    script = wallets_script({"Trader’s wallet": wallet}) + RECORD_FRAMES
    with script_before_pages(browser, script):
        open_page(browser, f"{system.api}/app/wallets/{wallet.pubkey()}")
        sign_in(browser, "Trader’s wallet")
        wait_for_text(browser, "yours: followed live", ".lead")
        assert accessibility_problems(browser) == []
        channel = f"wallet:{wallet.pubkey()}"
        system.wait_for(
            lambda: channel in browser.execute_script("return frames.map((one) => one.channel)"),
            300,
            "a frame of the wallet's own channel",
        )
        newest = system.get(f"/api/users/{wallet.pubkey()}/events?limit=1")["events"][0]
        wait_for_text(browser, newest["signature"][:4], "td")
        browser.execute_script("localStorage.clear()")
        browser.delete_all_cookies()
