"""The cast's access to a real local chain: every act that it sends, and the responses."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from demo.chain import Chain, TransactionRefused
from demo.script import B_PARAMETER, SOL, VIRTUAL_LIQUIDITY
from tests.fixtures.localnet import Localnet
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.transaction_builder import unsigned_transaction
from zmart_pipelines.program import instructions as program
from zmart_pipelines.program.addresses import market_address

pytestmark = pytest.mark.process

MARKET_ID = bytes(range(32))


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Localnet]:
    chain = Localnet(
        tmp_path / "chain", "--slot-ms", "100", "--dispute-period", "4", "--no-webhook"
    )
    yield chain
    chain.close()


@pytest.fixture
def chain(node: Localnet) -> Iterator[Chain]:
    with RpcClient(node.rpc_url, 10.0) as rpc:
        yield Chain(rpc, node.rpc_url, node.program)


def test_a_market_from_creation_to_payout(node: Localnet, chain: Chain) -> None:
    creator, winner, loser, resolver = (Keypair() for _ in range(4))
    config = chain.reader.config("confirmed").value
    fee_wallet = Pubkey.from_bytes(config.protocol_fee_wallet)
    wallets = [key.pubkey() for key in (creator, winner, loser, resolver)]
    chain.fund([fee_wallet, *wallets], 10 * SOL, 20 * SOL)
    market, _ = market_address(node.program, MARKET_ID)
    create = program.create_market(
        node.program,
        creator=creator.pubkey(),
        market_id=MARKET_ID,
        b_parameter=B_PARAMETER,
        initial_liquidity=VIRTUAL_LIQUIDITY,
        question_hash=b"Q" * 46,
    )
    with RpcClient(node.rpc_url, 10.0) as rpc:
        blockhash = rpc.latest_blockhash("confirmed").hash
        unsigned = unsigned_transaction(creator.pubkey(), [create], blockhash)
        with pytest.raises(TransactionRefused, match="must be signed by"):
            chain.sign_and_send(winner, unsigned)
        chain.sign_and_send(creator, unsigned)
        before = rpc.balance(winner.pubkey(), "confirmed").value
        chain.fund([winner.pubkey()], 10 * SOL, 20 * SOL)
        assert rpc.balance(winner.pubkey(), "confirmed").value == before, "it had enough"

    backend, admin = node.keys["backend"], node.keys["admin"]
    chain.send(
        backend,
        program.aggregate_proposal_votes(
            node.program, backend_authority=backend.pubkey(), market=market, likes=12, dislikes=2
        ),
    )
    chain.send(admin, program.approve_proposal(node.program, admin=admin.pubkey(), market=market))
    chain.send(
        creator,
        program.activate_market(node.program, authority=creator.pubkey(), market=market),
    )
    for trader, outcome in ((winner, True), (loser, False)):
        chain.send(
            trader,
            program.buy_shares(
                node.program,
                user=trader.pubkey(),
                market=market,
                protocol_fee_wallet=fee_wallet,
                outcome=outcome,
                target_cost=SOL // 5,
            ),
        )
    time.sleep(1.1)  # the program requires a later second than the activation's
    chain.send(
        resolver,
        program.resolve_market(
            node.program,
            resolver=resolver.pubkey(),
            market=market,
            outcome=True,
            evidence_hash=b"E" * 46,
        ),
    )
    finalize = program.finalize_market(
        node.program, backend_authority=backend.pubkey(), market=market
    )
    time.sleep(1.1)
    with pytest.raises(TransactionRefused, match="DisputePeriodNotEnded"):
        chain.send(backend, finalize)
    time.sleep(4)
    chain.send(backend, finalize)

    chain.claim(winner, market, resolver.pubkey())
    with pytest.raises(TransactionRefused, match="NoWinnings"):
        chain.claim(loser, market, resolver.pubkey())
    position = chain.reader.position(MARKET_ID, winner.pubkey(), "confirmed").value
    assert position is not None
    assert position.has_claimed
    assert position.claimed_amount > 0
    chain.send(
        creator, program.withdraw_liquidity(node.program, creator=creator.pubkey(), market=market)
    )
    account = chain.reader.market(MARKET_ID, "confirmed").value
    assert account is not None
    assert account.current_liquidity == 0
