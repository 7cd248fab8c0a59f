"""Ten minutes without a webhook, the API killed twice: afterwards nothing is missing."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx
import pytest
from sqlalchemy import Engine, func, select

from localnet.webhook import PAUSE, RETRIES
from tests.api.conftest import SECRET, settings_for
from tests.api.running_api import RunningApi, running
from tests.fixtures.localnet import StartLocalnet
from tests.ledger.onchain import listed, stored
from tests.ledger.recorded_rpc import PROGRAM
from tests.soak.crowd import Crowd
from tests.soak.reference import in_order_once
from tests.soak.state import state
from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.ledger.audit.reconcile import compare_accounts
from zmart_pipelines.ledger.model.provenance import Source
from zmart_pipelines.ledger.readers.confirmed_poll import poll_confirmed
from zmart_pipelines.ledger.readers.deliveries import pending_deliveries, process_delivery
from zmart_pipelines.ledger.readers.finalized_window import read_finalized_window
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries import health
from zmart_pipelines.store.tables import chain as tables

# Chain time.
OUTAGE: Final = 600
# Real time, from the end of the outage until everything is there.
HEALING: Final = 60


class Pipelines(threading.Thread):
    """Runs what the daemon would start: deliveries, polls, windows."""

    def __init__(self, db: Engine, crowd: Crowd, settings: Settings) -> None:
        super().__init__()
        self.db, self.crowd, self.settings = db, crowd, settings
        self.over = threading.Event()
        self.error: Exception | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.over.set()
        self.join()
        if self.error is not None:
            raise self.error

    def run(self) -> None:
        """Run until the end is signalled or an exception is raised."""
        try:
            while not self.over.wait(0.5):
                with self.db.connect() as conn:
                    waiting = pending_deliveries(conn)
                for delivery in waiting:
                    process_delivery(self.db, delivery, program=PROGRAM)
                poll_confirmed(self.db, self.crowd.rpc, self.settings, seconds=1.2)
                read_finalized_window(self.db, self.crowd.rpc, self.settings)
        except Exception as error:
            self.error = error


@pytest.fixture
def api_settings(database: str, redis_url: str, tmp_path: Path) -> Settings:
    return settings_for(database, redis_url, tmp_path / "state")


@pytest.fixture
def crowd(start_localnet: StartLocalnet, api_settings: Settings) -> Iterator[Crowd]:
    """On a chain that posts to the API."""
    url = f"http://127.0.0.1:{api_settings.api_port}/api/webhooks/helius"
    chain = start_localnet(
        "--webhook", "--webhook-url", url, environment={"HELIUS_WEBHOOK_SECRET": SECRET}
    )
    made = Crowd(chain, random.Random(10))
    yield made
    made.close()


def delivered_by(db: Engine, source: Source) -> int:
    """How many transactions came from a source."""
    with db.connect() as conn:
        return conn.execute(
            select(func.count()).where(tables.transactions.c.sources.bitwise_and(int(source)) != 0)
        ).scalar_one()


def stored_deliveries(db: Engine) -> int:
    """How many deliveries were stored."""
    with db.connect() as conn:
        return conn.execute(select(func.count()).select_from(tables.deliveries)).scalar_one()


def until(condition: Callable[[], bool], seconds: float) -> float:
    """Wait for the condition; return the seconds it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        time.sleep(0.1)
    return time.monotonic() - began


def outage(
    db: Engine, reference: Engine, crowd: Crowd, settings: Settings, folder: Path, events: int
) -> None:
    control = crowd.chain.control
    with running(settings, folder) as api:
        crowd.open(8)
        until(lambda: delivered_by(db, Source.WEBHOOK) >= len(crowd.signatures), 20)

        # Kill the API with deliveries in flight; from here on nothing is posted.
        for _ in range(20):
            crowd.trade(crowd.dice.choice(crowd.market_ids))
            crowd.advance()
        api.stop(signal.SIGKILL)
        control.command("fault", kind="webhook-drop", times=None)
        begun = crowd.seconds
        while crowd.expected < events / 2:
            crowd.move()
        # The sender gives up its pending posts; deliveries stored by then and not ingested are
        # ingested by the pipelines.
        time.sleep(RETRIES * PAUSE + 1)
        deliveries_before = stored_deliveries(db)
        api.start()
        api.stop(signal.SIGKILL)
        while crowd.expected < 1.1 * events:
            crowd.move()
        crowd.advance(1, max(1, OUTAGE - (crowd.seconds - begun)))
        api.start()
        assert stored_deliveries(db) == deliveries_before

        control.command("clear-faults")
        with Pipelines(db, crowd, settings):
            for _ in range(5):
                crowd.trade(crowd.dice.choice(crowd.market_ids))
                crowd.advance()
            control.finalize()
            right = listed(crowd.chain)
            until(lambda: stored(db, "finalized") >= right, HEALING)
        until(lambda: stored_deliveries(db) > deliveries_before, 20)
        assert_whole(db, reference, crowd, events)
        assert_shown(api, crowd)


def assert_whole(db: Engine, reference: Engine, crowd: Crowd, events: int) -> None:
    """Assert that every event is stored once, covered, and agrees with the accounts."""
    assert stored(db, "finalized") == listed(crowd.chain)
    assert stored(db, "reported", "confirmed", "orphaned") == set()
    in_order_once(reference, crowd.rpc, {})
    expected = state(reference)
    assert state(db) == expected
    assert expected["chain.events"].rows >= events
    assert compare_accounts(db, AccountReader(crowd.rpc, PROGRAM)).differences == ()
    with db.connect() as conn:
        (covered,) = health.coverage(conn)
        assert health.gaps(conn) == []
        assert pending_deliveries(conn) == []
    assert covered.first_slot == 0


def assert_shown(api: RunningApi, crowd: Crowd) -> None:
    """The API shows what the accounts say."""
    reader = AccountReader(crowd.rpc, PROGRAM)
    for market_id in crowd.market_ids:
        account = reader.market(market_id).value
        assert account is not None
        shown = httpx.get(f"{api.url}/api/markets/{market_id.hex()}", timeout=60).json()
        assert shown["state_code"] == account.state
        assert shown["exact"]["shares_yes"] == str(account.shares_yes)
        assert shown["exact"]["shares_no"] == str(account.shares_no)
        assert shown["exact"]["total_volume"] == str(account.total_volume)
        assert shown["commitment"] == "finalized"


def test_webhook_outage(
    db: Engine, reference: Engine, crowd: Crowd, api_settings: Settings, tmp_path: Path
) -> None:
    outage(db, reference, crowd, api_settings, tmp_path, 1_000)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_long_webhook_outage(
    db: Engine, reference: Engine, crowd: Crowd, api_settings: Settings, tmp_path: Path
) -> None:
    outage(db, reference, crowd, api_settings, tmp_path, 10_000)
