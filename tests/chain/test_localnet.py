"""The client, the reader and the signer against a local chain that runs the program."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from tests.fixtures.localnet import Localnet
from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.chain.jsonrpc import RpcError
from zmart_pipelines.chain.program_logs import parse_logs
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.rpc_types import Simulation
from zmart_pipelines.chain.signer import KeypairSigner, Signer
from zmart_pipelines.chain.transaction_builder import build_transaction, signature_of
from zmart_pipelines.chain.transactions import RawTransaction, from_rpc
from zmart_pipelines.program import instructions
from zmart_pipelines.program.accounts import MarketState, VoteKind
from zmart_pipelines.program.addresses import config_address, market_address
from zmart_pipelines.program.errors import describe
from zmart_pipelines.program.events import (
    Event,
    GlobalConfigInitialized,
    MarketActivated,
    MarketCreated,
    ProposalAggregated,
    ProposalApproved,
    ProposalVoteSubmitted,
    SharesBought,
    decode_event,
    event_name,
)
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID
from zmart_pipelines.program.lmsr import PRECISION, Fees, Pool, buy, price_yes

PROGRAM = DEFAULT_PROGRAM_ID
MARKET_ID = b"\x01" * 32
MARKET = market_address(PROGRAM, MARKET_ID)[0]
CID = b"QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR"
SOL = 10**9


@pytest.fixture
def rpc(localnet: Localnet) -> Iterator[RpcClient]:
    with RpcClient(localnet.rpc_url, 10) as client:
        yield client


class Actor:
    """Sends signed instructions and lets them become final."""

    def __init__(self, chain: Localnet, rpc: RpcClient) -> None:
        self.chain = chain
        self.rpc = rpc

    def send(self, instruction: Instruction, signer: Signer | Keypair) -> bytes:
        blockhash = self.rpc.latest_blockhash("confirmed")
        data = build_transaction(signer.pubkey(), [instruction], blockhash.hash, [signer])
        signature = self.rpc.send(data, blockhash.slot)
        assert signature == signature_of(data)
        self.chain.control.advance(1, 1)
        return signature

    def read(self, signature: bytes) -> RawTransaction:
        raw = self.rpc.transaction(signature, "confirmed")
        assert raw is not None
        return from_rpc(raw, PROGRAM)

    def event(self, signature: bytes) -> Event:
        """The only event of a transaction that succeeded."""
        transaction = self.read(signature)
        assert transaction.error is None
        found = parse_logs(transaction.logs, str(PROGRAM))
        assert found.complete
        ((_, payload),) = found.payloads
        return decode_event(payload)


@pytest.fixture
def actor(localnet: Localnet, rpc: RpcClient) -> Actor:
    return Actor(localnet, rpc)


def wallet(chain: Localnet, number: int) -> Keypair:
    keypair = Keypair.from_seed(bytes([number]) * 32)
    chain.airdrop(keypair.pubkey(), 50 * SOL)
    return keypair


def created(actor: Actor, creator: Keypair) -> bytes:
    return actor.send(
        instructions.create_market(
            PROGRAM,
            creator=creator.pubkey(),
            market_id=MARKET_ID,
            b_parameter=100 * PRECISION,
            initial_liquidity=SOL // 10,
            question_hash=CID,
        ),
        creator,
    )


def test_a_market_up_to_its_first_trade(localnet: Localnet, rpc: RpcClient, actor: Actor) -> None:
    reader = AccountReader(rpc, PROGRAM)
    backend = KeypairSigner(localnet.keys["backend"], PROGRAM)
    admin = KeypairSigner(localnet.keys["admin"], PROGRAM)
    config = reader.config("confirmed").value
    assert config.backend_authority == bytes(backend.pubkey())
    assert config.admin == bytes(admin.pubkey())

    creator, voter = wallet(localnet, 1), wallet(localnet, 2)
    signature = created(actor, creator)
    event = actor.event(signature)
    assert isinstance(event, MarketCreated)
    assert (event.market_id, event.creator) == (MARKET_ID, bytes(creator.pubkey()))
    (call,) = actor.read(signature).instructions
    assert call.accounts[1] == str(MARKET)
    assert call.data.endswith(CID)

    vote = instructions.submit_proposal_vote(PROGRAM, user=voter.pubkey(), market=MARKET, vote=True)
    assert isinstance(actor.event(actor.send(vote, voter)), ProposalVoteSubmitted)
    records = reader.vote_records(MARKET_ID, VoteKind.PROPOSAL, "confirmed")
    assert [(r.user, r.vote) for r in records.value] == [(bytes(voter.pubkey()), True)]
    assert reader.vote_records(MARKET_ID, VoteKind.DISPUTE, "confirmed").value == []

    aggregate = instructions.aggregate_proposal_votes(
        PROGRAM, backend_authority=backend.pubkey(), market=MARKET, likes=1, dislikes=0
    )
    assert isinstance(actor.event(actor.send(aggregate, backend)), ProposalAggregated)
    approve = instructions.approve_proposal(PROGRAM, admin=admin.pubkey(), market=MARKET)
    assert isinstance(actor.event(actor.send(approve, admin)), ProposalApproved)
    activate = instructions.activate_market(PROGRAM, authority=creator.pubkey(), market=MARKET)
    assert isinstance(actor.event(actor.send(activate, creator)), MarketActivated)

    before = reader.market(MARKET_ID, "confirmed").value
    assert before is not None
    assert before.state is MarketState.ACTIVE
    purchase = instructions.buy_shares(
        PROGRAM,
        user=voter.pubkey(),
        market=MARKET,
        protocol_fee_wallet=Pubkey(config.protocol_fee_wallet),
        outcome=True,
        target_cost=SOL,
    )
    bought = actor.event(actor.send(purchase, voter))
    assert isinstance(bought, SharesBought)
    fill = buy(Pool.of(before), True, SOL, Fees.of(config))
    after = reader.market(MARKET_ID, "confirmed").value
    assert after is not None
    assert (bought.shares, bought.cost) == (fill.shares, fill.total)
    assert bought.new_price_yes == price_yes(Pool.of(after))
    assert Pool.of(after) == Pool.of(before).moved(True, fill.shares)
    (position,) = reader.positions(MARKET_ID, "confirmed").value
    assert (position.shares_yes, position.total_invested) == (fill.shares, fill.total)
    held = reader.position(MARKET_ID, voter.pubkey(), "confirmed").value
    assert held == position

    assert [m.market_id for m in reader.markets(MarketState.ACTIVE, "confirmed").value] == [
        MARKET_ID
    ]
    assert reader.markets(MarketState.PROPOSED, "confirmed").value == []
    assert reader.markets(commitment="finalized").value == []
    localnet.control.finalize()
    assert reader.markets().value == [after]


def test_history_is_paged_newest_first(localnet: Localnet, rpc: RpcClient, actor: Actor) -> None:
    """GlobalConfig was made by transactions, which are in the history as well."""
    creator = wallet(localnet, 1)
    newest = created(actor, creator)
    rows = rpc.signatures_for_address(PROGRAM, commitment="confirmed")
    assert [row.slot for row in rows] == sorted((row.slot for row in rows), reverse=True)
    assert rows[0].signature == newest
    assert {row.error for row in rows} == {None}
    assert event_name(actor.event(rows[-1].signature)) == GlobalConfigInitialized.__name__

    paged = []
    before = None
    while page := rpc.signatures_for_address(
        PROGRAM, before=before, limit=1, commitment="confirmed"
    ):
        paged += page
        before = page[-1].signature
    assert [row.signature for row in paged] == [row.signature for row in rows]
    of_config = rpc.signatures_for_address(config_address(PROGRAM)[0], commitment="confirmed")
    assert {row.signature for row in of_config} == {row.signature for row in rows}


def test_statuses_are_promoted(localnet: Localnet, rpc: RpcClient, actor: Actor) -> None:
    creator = wallet(localnet, 1)
    signature = created(actor, creator)
    (unknown, status) = rpc.signature_statuses([bytes(64), signature], False).value
    assert unknown is None
    assert status is not None
    assert (status.error, status.commitment) == (None, "confirmed")
    assert rpc.transaction(signature, "finalized") is None
    localnet.control.finalize()
    (status,) = rpc.signature_statuses([signature], True).value
    assert status is not None
    assert (status.confirmations, status.commitment) == (None, "finalized")


def test_simulation_and_refusal(localnet: Localnet, rpc: RpcClient) -> None:
    stranger = wallet(localnet, 3)
    approve = instructions.approve_proposal(PROGRAM, admin=stranger.pubkey(), market=MARKET)
    blockhash = rpc.latest_blockhash("confirmed")
    data = build_transaction(stranger.pubkey(), [approve], blockhash.hash, [stranger])
    simulation = rpc.simulate(data)
    assert isinstance(simulation, Simulation)
    assert describe(simulation.error) == "AccountNotInitialized"
    found = parse_logs(simulation.logs, str(PROGRAM))
    assert (found.complete, found.payloads) == (True, [])
    assert simulation.units
    with pytest.raises(RpcError) as error:
        rpc.send(data)
    assert error.value.code == -32002
    assert describe(error.value.data["err"]) == "AccountNotInitialized"


def test_a_slot_the_node_has_not_reached(localnet: Localnet, rpc: RpcClient) -> None:
    with RpcClient(localnet.rpc_url, 10, attempts=1) as once:
        ahead = once.slot("processed") + 10
        with pytest.raises(RpcError) as error:
            once.account(config_address(PROGRAM)[0], "confirmed", ahead)
        assert error.value.code == -32016
        assert error.value.transient
        localnet.control.advance(12)
        assert once.account(config_address(PROGRAM)[0], "confirmed", ahead).slot >= ahead


def test_clock_balance_fees_and_health(localnet: Localnet, rpc: RpcClient) -> None:
    before = rpc.chain_clock("processed")
    localnet.control.advance(2, 100)
    after = rpc.chain_clock("processed")
    assert after.unix_timestamp - before.unix_timestamp >= 100
    assert after.slot >= before.slot + 2
    assert rpc.health() is True
    assert rpc.block_height("processed") <= rpc.slot("processed")
    assert rpc.slot("finalized") < rpc.slot("processed")
    someone = Keypair().pubkey()
    assert rpc.balance(someone, "confirmed").value == 0
    rpc.airdrop(someone, SOL)
    localnet.control.advance()
    assert rpc.balance(someone, "confirmed").value == SOL
    found = rpc.accounts([someone, Keypair().pubkey()], "confirmed").value
    assert found[0] is not None
    assert (found[0].lamports, found[1]) == (SOL, None)
    assert isinstance(rpc.prioritization_fees([someone]), list)
