"""Preparing on a real chain: what changes between the reading and the simulation, and the fee."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from tests.fixtures.localnet import Localnet
from zmart_pipelines.chain.jsonrpc import RpcUnavailable
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.rpc_types import Blockhash, PrioritizationFee, Simulation
from zmart_pipelines.chain.transaction_builder import build_transaction
from zmart_pipelines.chain.wallet_preparation import (
    ATTEMPTS,
    FeeLimits,
    MarketMissing,
    WalletPreparation,
)
from zmart_pipelines.ipfs.cid import cid_v0
from zmart_pipelines.program import instructions
from zmart_pipelines.program.addresses import market_address
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID as PROGRAM
from zmart_pipelines.wallet_transactions.act import Act
from zmart_pipelines.wallet_transactions.acts.activate import Activate
from zmart_pipelines.wallet_transactions.acts.approve import Approve
from zmart_pipelines.wallet_transactions.acts.buy import Buy
from zmart_pipelines.wallet_transactions.acts.create import Create

SOL = 10**9
MARKET = bytes([7]) * 32
LIMITS = FeeLimits(unit_price=1_000_000, fee=100_000)
BUY = Buy(outcome=True, max_cost=SOL)


class Rpc(RpcClient):
    """A client to which tests add what happens between two calls, and recent prices."""

    between: Callable[[], None] = staticmethod(lambda: None)
    recent: Sequence[int] = ()
    failure: Any = None
    asked: Sequence[Pubkey] = ()

    def latest_blockhash(self, commitment: Any) -> Blockhash:
        """The call between the reading of the accounts and the simulation."""
        self.between()
        return super().latest_blockhash(commitment)

    def prioritization_fees(self, addresses: Sequence[Pubkey]) -> list[PrioritizationFee]:
        self.asked = addresses
        return [PrioritizationFee(slot, fee) for slot, fee in enumerate(self.recent)]

    def simulate(self, *arguments: Any, **options: Any) -> Simulation:
        if self.failure is not None:
            return Simulation(self.failure, [], None, 1)
        return super().simulate(*arguments, **options)


class Market:
    """An open market on the chain, two wallets, and the means to prepare for them."""

    def __init__(self, chain: Localnet, rpc: Rpc) -> None:
        self.chain = chain
        self.rpc = rpc
        self.wallet, self.rival = Keypair(), Keypair()
        for wallet in (self.wallet, self.rival):
            chain.airdrop(wallet.pubkey(), 100 * SOL)
        create = Create(
            liquidity=SOL, b_parameter=100 * SOL, ipfs_question_hash=cid_v0(b"question")
        )
        self.do(create, self.wallet)
        backend = chain.keys["backend"]
        counts = instructions.aggregate_proposal_votes(
            PROGRAM,
            backend_authority=backend.pubkey(),
            market=market_address(PROGRAM, MARKET)[0],
            likes=9,
            dislikes=1,
        )
        recent = rpc.latest_blockhash("confirmed").hash
        rpc.send(build_transaction(backend.pubkey(), [counts], recent, [backend]))
        chain.control.advance()
        self.do(Approve(), chain.keys["admin"])
        self.do(Activate(), self.wallet)

    def preparation(self, limits: FeeLimits = LIMITS) -> WalletPreparation:
        return WalletPreparation(self.rpc, PROGRAM, limits)

    def do(self, act: Act, wallet: Keypair) -> None:
        """Prepare, sign, send."""
        plain = RpcClient(self.chain.rpc_url, 10)
        prepared = WalletPreparation(plain, PROGRAM, LIMITS).prepare(act, wallet.pubkey(), MARKET)
        message = VersionedTransaction.from_bytes(prepared.transaction).message
        plain.send(bytes(VersionedTransaction(message, [wallet])))
        plain.close()
        self.chain.control.advance()


@pytest.fixture
def market(localnet: Localnet) -> Iterator[Market]:
    rpc = Rpc(localnet.rpc_url, 10)
    yield Market(localnet, rpc)
    rpc.close()


def test_trade_that_comes_between_is_in_the_effects(market: Market) -> None:
    trades = iter([lambda: market.do(BUY, market.rival)])
    market.rpc.between = lambda: next(trades, lambda: None)()
    prepared = market.preparation().prepare(BUY, market.wallet.pubkey(), MARKET)
    assert next(trades, None) is None
    figures = prepared.effects.trade
    assert figures is not None
    assert figures.price_before == 504_589_428, "the price after the rival's trade"


def test_market_that_never_rests_is_not_described(market: Market) -> None:
    trades = 0

    def trade() -> None:
        nonlocal trades
        trades += 1
        market.do(BUY, market.rival)

    market.rpc.between = trade
    with pytest.raises(RpcUnavailable, match="disagrees"):
        market.preparation().prepare(BUY, market.wallet.pubkey(), MARKET)
    assert trades == ATTEMPTS


@pytest.mark.parametrize(
    ("recent", "limits", "price"),
    [
        ([], LIMITS, 1_000),
        ([5_000, 6_000, 7_000, 8_000], LIMITS, 7_000),
        ([5_000, 6_000, 7_000, 8_000], FeeLimits(1_000_000, 100_000, 50), 6_000),
        ([10**9], FeeLimits(50_000, 100_000), 50_000),
    ],
)
def test_price_follows_the_written_accounts(
    market: Market, recent: list[int], limits: FeeLimits, price: int
) -> None:
    market.rpc.recent = recent
    prepared = market.preparation(limits).prepare(BUY, market.wallet.pubkey(), MARKET)
    assert prepared.fee.unit_price == price
    written = {market.wallet.pubkey(), market_address(PROGRAM, MARKET)[0]}
    assert written | {prepared.view.position_address, prepared.view.fee_wallet} == set(
        market.rpc.asked
    )


def test_fee_never_passes_its_limit(market: Market) -> None:
    market.rpc.recent = [10**9]
    prepared = market.preparation(FeeLimits(10**9, 20_000)).prepare(
        BUY, market.wallet.pubkey(), MARKET
    )
    fee = prepared.fee
    assert 19_900 < fee.total <= 20_000
    assert fee.priority == fee.total - 5_000


def test_state_of_a_node_is_no_refusal(market: Market) -> None:
    market.rpc.failure = "BlockhashNotFound"
    with pytest.raises(RpcUnavailable, match="BlockhashNotFound"):
        market.preparation().prepare(BUY, market.wallet.pubkey(), MARKET)


def test_market_that_is_not_on_chain_is_named_missing(market: Market) -> None:
    with pytest.raises(MarketMissing):
        market.preparation().prepare(BUY, market.wallet.pubkey(), bytes(32))
