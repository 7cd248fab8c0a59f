"""What the API leaves behind is sent on by the sensor's run, with one effect on chain."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL
from typing import Any

import dagster as dg
import httpx
import pytest
from solders.keypair import Keypair
from sqlalchemy import Engine, select

from assets.resources import Backend
from tests.api.conftest import settings_for
from tests.api.running_api import running
from tests.assets.life import run
from tests.assets.test_sensors import requests, tick
from tests.chain.endpoint import Endpoint, Reply, Script, forward
from tests.fixtures.localnet import Localnet
from tests.relay.signed_transactions import SOL, priced, text
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.program.addresses import market_address
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.tables.relayed_transactions import relayed_transactions

MARKET = b"\x2a" * 32


@pytest.fixture
def gate() -> Iterator[Endpoint]:
    """Stands between the API and the node."""
    made = Endpoint()
    yield made
    made.close()


def holding_back(url: str, reached: threading.Event, *, arrives: bool) -> Script:
    """Forward everything to the node, but hold back what is sent, before or after it arrives."""
    ask = forward(url)

    def script(request: dict[str, Any]) -> Reply:
        if request["method"] != "sendTransaction":
            return ask(request)
        if arrives:
            ask(request)
        reached.set()
        return Reply(drop=True, delay=30)

    return script


def changed(settings: Settings, **values: Any) -> Settings:
    return Settings(**settings.model_dump() | values)


def stored(owner: Engine) -> Any:
    with owner.connect() as conn:
        return conn.execute(select(relayed_transactions)).one()


@contextmanager
def blocks_once_sent(chain: Localnet, owner: Engine) -> Iterator[None]:
    """Blocks follow once the transaction is sent: it cannot expire before, however slow we are."""
    over = threading.Event()

    def advance() -> None:
        while not over.wait(0.1):
            if stored(owner).state in ("sent", "confirmed"):
                chain.control.advance()

    thread = threading.Thread(target=advance)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def hand_in(url: str, transaction: bytes) -> httpx.Response:
    return httpx.post(
        f"{url}/api/transactions", json={"transaction": text(transaction)}, timeout=30
    )


def effects(rpc: RpcClient, settings: Settings) -> int:
    """How many transactions on chain name the market and succeeded."""
    address = market_address(settings.program, MARKET)[0]
    listed = rpc.signatures_for_address(address, commitment="confirmed")
    return sum(row.error is None for row in listed)


@pytest.mark.process
@pytest.mark.parametrize("arrives", [False, True])
def test_api_that_is_killed_while_it_sends_leaves_one_effect(
    database: str,
    redis_url: str,
    tmp_path: Path,
    localnet: Localnet,
    gate: Endpoint,
    owner: Engine,
    instance: dg.DagsterInstance,
    arrives: bool,
) -> None:
    rpc = RpcClient(localnet.rpc_url, 10)
    wallet = Keypair()
    localnet.airdrop(wallet.pubkey(), 10 * SOL)
    reached = threading.Event()
    gate.answer(holding_back(localnet.rpc_url, reached, arrives=arrives))
    base = settings_for(database, redis_url, tmp_path / "state")
    settings = changed(base, solana_rpc_url=gate.url, rpc_timeout=60, relay_lease_seconds=1)
    transaction = priced(wallet, MARKET, rpc.latest_blockhash("confirmed").hash)
    with running(settings, tmp_path) as api:
        answer = hand_in(api.url, transaction)
        assert answer.status_code == 201, answer.text
        assert reached.wait(60)
        api.stop(SIGKILL)
    row = stored(owner)
    assert (row.state, row.sends, bytes(row.transaction)) == ("stored", 0, transaction)

    direct = changed(base, solana_rpc_url=localnet.rpc_url)
    backend = Backend(direct)
    deadline = time.monotonic() + 60
    while requests(tick("relay_sensor", backend, instance)) == 0:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    with blocks_once_sent(localnet, owner):
        done = run("relay_transactions", backend)["submissions/relayed_transactions"]
    assert done["Transactions by end"].value == "- finalized: 1"
    assert stored(owner).state == "finalized"
    assert effects(rpc, direct) == 1
    assert requests(tick("relay_sensor", backend, instance)) == 0

    with running(direct, tmp_path) as api:
        again = hand_in(api.url, transaction)
        assert (again.status_code, again.json()["state"]) == (200, "finalized")
    assert effects(rpc, direct) == 1
    rpc.close()


def test_transaction_that_the_api_holds_is_left_to_it(
    database: str, owner: Engine, instance: dg.DagsterInstance, localnet: Localnet
) -> None:
    base = settings_for(database, "redis://127.0.0.1:1", Path("/nonexistent"))
    settings = changed(base, solana_rpc_url=localnet.rpc_url)
    backend = Backend(settings)
    assert requests(tick("relay_sensor", backend, instance)) == 0
    insert = relayed_transactions.insert().values(
        signature=bytes(64),
        fee_payer=bytes(32),
        transaction=b"bytes",
        instructions=["create_market"],
        last_valid_block_height=1,
    )
    with owner.begin() as conn:
        conn.execute(insert)
        conn.exec_driver_sql(
            "UPDATE ops.relayed_transactions SET leased_until = now() + interval '1 min'"
        )
    assert requests(tick("relay_sensor", backend, instance)) == 0
    with owner.begin() as conn:
        conn.exec_driver_sql(
            "UPDATE ops.relayed_transactions SET leased_until = now() - interval '1 min'"
        )
    assert requests(tick("relay_sensor", backend, instance)) == 1
