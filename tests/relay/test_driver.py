"""The driver on the real chain and tables: lagging nodes, the ledger's word, several holders."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from solders.keypair import Keypair
from sqlalchemy import Engine, select

from tests.chain.endpoint import Endpoint, fault
from tests.fixtures.localnet import Localnet
from tests.relay.signed_transactions import SOL, priced
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID
from zmart_pipelines.relay import rows
from zmart_pipelines.relay.admission import Admission
from zmart_pipelines.relay.driver import RelayDriver
from zmart_pipelines.relay.signed_transaction import parse_signed
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.store.engine import Role, act_as
from zmart_pipelines.store.tables.relayed_transactions import relayed_transactions

MARKET = b"\x11" * 32


@pytest.fixture
def api(database: str) -> Iterator[Engine]:
    made = role_engine(Role.API, database)
    yield made
    made.dispose()


@pytest.fixture
def pipelines(database: str) -> Iterator[Engine]:
    made = role_engine(Role.PIPELINES, database)
    yield made
    made.dispose()


@pytest.fixture
def wallet(localnet: Localnet) -> Keypair:
    made = Keypair()
    localnet.airdrop(made.pubkey(), 10 * SOL)
    return made


def client(*urls: str) -> RpcClient:
    return RpcClient(list(urls), 5, attempts=1)


def hand_in(api: Engine, rpc: RpcClient, wallet: Keypair, market_id: bytes = MARKET) -> bytes:
    data = priced(wallet, market_id, rpc.latest_blockhash("confirmed").hash)
    signed = parse_signed(data, DEFAULT_PROGRAM_ID)
    last_valid = Admission(rpc).last_valid_height(data)
    with api.begin() as conn:
        act_as(conn, signed.fee_payer)
        assert rows.store(conn, signed, last_valid, open_limit=10).is_new
    return signed.signature


def state(pipelines: Engine) -> str:
    with pipelines.connect() as conn:
        found: str = conn.execute(select(relayed_transactions.c.state)).scalar_one()
    return found


def rounds(driver: RelayDriver, chain: Localnet, number: int, slots: int = 1) -> None:
    for _ in range(number):
        driver.round()
        chain.control.advance(slots)


def test_last_valid_height_is_never_too_low(localnet: Localnet, wallet: Keypair) -> None:
    with client(localnet.rpc_url) as rpc:
        recent = rpc.latest_blockhash("confirmed")
        data = priced(wallet, MARKET, recent.hash)
        asked = Admission(rpc)
        for passed in (0, 20):
            localnet.control.advance(passed or 1)
            found = asked.last_valid_height(data)
            assert recent.last_valid_block_height <= found
            assert found <= recent.last_valid_block_height + 150


def test_lagging_node_neither_hides_nor_invents(
    localnet: Localnet, wallet: Keypair, api: Engine, pipelines: Engine
) -> None:
    """The preferred node is far behind; the other one sees everything."""
    with (
        client(f"{localnet.rpc_url}/lag/30", localnet.rpc_url) as rpc,
        client(localnet.rpc_url) as direct,
    ):
        localnet.control.advance(40)
        hand_in(api, direct, wallet)
        driver = RelayDriver(api, rpc, lease_seconds=60, poll_seconds=0)
        rounds(driver, localnet, 4)
        assert state(pipelines) == "confirmed"
        rounds(driver, localnet, 10)
        assert state(pipelines) == "finalized"
        driver.close()


def test_expiry_waits_for_the_second_node(
    localnet: Localnet, wallet: Keypair, api: Engine, pipelines: Engine
) -> None:
    broken = Endpoint()
    broken.answer(fault(-32005, "behind"))
    localnet.control.command("fault", kind="dropped-send", times=None, methods=["sendTransaction"])
    with client(localnet.rpc_url, broken.url) as rpc, client(localnet.rpc_url) as direct:
        hand_in(api, direct, wallet)
        driver = RelayDriver(api, rpc, lease_seconds=60, poll_seconds=0)
        rounds(driver, localnet, 10, slots=25)
        assert state(pipelines) == "sent", "one node's word is not enough yet"
        rounds(driver, localnet, 20, slots=25)
        assert state(pipelines) == "expired"
        driver.close()
    broken.close()


def test_one_of_two_drivers_drives(
    localnet: Localnet, wallet: Keypair, api: Engine, pipelines: Engine
) -> None:
    with client(localnet.rpc_url) as rpc:
        signature = hand_in(api, rpc, wallet)
        first = RelayDriver(api, rpc, lease_seconds=60, poll_seconds=0)
        second = RelayDriver(pipelines, rpc, lease_seconds=60, poll_seconds=0)
        assert (first.round(), second.round()) == (1, 0)
        first.forget()
        assert first.round() == 1, "its own rows are claimed again"
        first.close()
        assert second.round() == 1, "released rows are free at once"
        rounds(second, localnet, 14)
        assert (second.held, second.ended) == (0, {"finalized": 1})
        assert state(pipelines) == "finalized"
        second.close()
        sent = [row.signature for row in rpc.signatures_for_address(wallet.pubkey())]
        assert sent.count(signature) == 1
