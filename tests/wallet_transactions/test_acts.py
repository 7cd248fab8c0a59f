"""Each act once on the program, and each reason for which one is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from solders.pubkey import Pubkey

from tests.wallet_transactions.executed import execute
from tests.wallet_transactions.svm_chain import (
    ADMIN,
    ALICE,
    BOB,
    CREATOR,
    FEE,
    FEES,
    SOL,
    SvmChain,
)
from zmart_pipelines.ipfs.cid import cid_v0
from zmart_pipelines.program.accounts import MarketState, VoteKind
from zmart_pipelines.wallet_transactions import acts
from zmart_pipelines.wallet_transactions.act import Act
from zmart_pipelines.wallet_transactions.acts import ACTS
from zmart_pipelines.wallet_transactions.acts.activate import Activate
from zmart_pipelines.wallet_transactions.acts.approve import Approve
from zmart_pipelines.wallet_transactions.acts.buy import Buy
from zmart_pipelines.wallet_transactions.acts.buy_shares import BuyShares
from zmart_pipelines.wallet_transactions.acts.cancel import Cancel
from zmart_pipelines.wallet_transactions.acts.claim import Claim
from zmart_pipelines.wallet_transactions.acts.create import Create
from zmart_pipelines.wallet_transactions.acts.dispute import Dispute
from zmart_pipelines.wallet_transactions.acts.pause import Pause
from zmart_pipelines.wallet_transactions.acts.resolve import Resolve
from zmart_pipelines.wallet_transactions.acts.sell import Sell
from zmart_pipelines.wallet_transactions.acts.update_config import UpdateConfig
from zmart_pipelines.wallet_transactions.acts.vote_dispute import VoteDispute
from zmart_pipelines.wallet_transactions.acts.vote_proposal import VoteProposal
from zmart_pipelines.wallet_transactions.acts.withdraw import Withdraw
from zmart_pipelines.wallet_transactions.effects import Effects, Purpose
from zmart_pipelines.wallet_transactions.funds import funds_refusal
from zmart_pipelines.wallet_transactions.refusals import Reason, Refusal

MARKET = bytes([1]) * 32
CID = cid_v0(b"question")
CREATE = Create(liquidity=SOL, b_parameter=100 * SOL, ipfs_question_hash=CID)
RESOLVE = Resolve(outcome=True, ipfs_evidence_hash=CID)
PERIOD = 259_200
Step = Callable[[], object]


class Scene:
    """A chain, and the steps of one market's life."""

    def __init__(self) -> None:
        self.chain = SvmChain()

    def done(self, act: Act, wallet: Pubkey) -> Effects:
        self.chain.wait(1)
        effects = execute(self.chain, act, wallet, MARKET)
        assert isinstance(effects, Effects), effects
        return effects

    def refused(self, act: Act, wallet: Pubkey) -> Refusal:
        refusal = execute(self.chain, act, wallet, MARKET)
        assert isinstance(refusal, Refusal), refusal
        return refusal

    def reach(self, state: MarketState) -> Scene:
        """Lead the market to a state; from ACTIVE on ALICE holds YES and BOB holds NO."""
        steps: list[tuple[MarketState, Step]] = [
            (MarketState.PROPOSED, lambda: self.done(CREATE, CREATOR)),
            (MarketState.APPROVED, lambda: self.chain.count_votes(MARKET, 7, 3)),
            (MarketState.APPROVED, lambda: self.done(Approve(), ADMIN)),
            (MarketState.ACTIVE, lambda: self.done(Activate(), CREATOR)),
            (MarketState.ACTIVE, lambda: self.done(Buy(outcome=True, max_cost=SOL), ALICE)),
            (MarketState.ACTIVE, lambda: self.done(Buy(outcome=False, max_cost=SOL), BOB)),
            (MarketState.RESOLVING, lambda: self.done(RESOLVE, BOB)),
            (MarketState.DISPUTED, lambda: self.done(Dispute(), ALICE)),
            (MarketState.FINALIZED, lambda: self.chain.finalize(MARKET, 1, 9)),
        ]
        for reached, step in steps:
            if reached <= state:
                step()
        self.chain.wait(1)
        return self


def test_each_act_does_what_it_says() -> None:
    scene = Scene().reach(MarketState.PROPOSED)
    done = {"create"}

    def do(act: Act, wallet: Pubkey) -> Effects:
        done.add(act.NAME)
        return scene.done(act, wallet)

    do(Pause(paused=True), ADMIN)
    do(Pause(paused=False), ADMIN)
    do(UpdateConfig(dispute_period=PERIOD + 1), ADMIN)
    vote = do(VoteProposal(vote=True), ALICE)
    assert vote.sent(ALICE) == 1_468_560
    scene.chain.count_votes(MARKET, 7, 3)
    do(Approve(), ADMIN)
    do(Activate(), ADMIN)
    first = do(Buy(outcome=True, max_cost=SOL), ALICE)
    assert first.trade is not None
    assert first.trade.shares == 1_835_823_062
    assert first.sent(ALICE) == 999_928_380 + 2_157_600
    second = do(BuyShares(outcome=False, shares=SOL), BOB)
    assert second.trade is not None
    assert second.trade.shares >= SOL
    assert not do(Buy(outcome=True, max_cost=SOL), ALICE).created, "the position exists"
    do(RESOLVE, CREATOR)
    do(Dispute(), BOB)
    do(VoteDispute(vote=False), BOB)
    scene.chain.finalize(MARKET, 0, 1)
    claim = do(Claim(), ALICE)
    assert [move.purpose for move in claim.transfers] == [Purpose.WINNINGS, Purpose.RESOLVER_FEE]
    withdrawal = do(Withdraw(), CREATOR)
    assert withdrawal.received(CREATOR) > 0
    assert done == set(ACTS) - {"sell", "cancel"}
    cancelled = Scene().reach(MarketState.APPROVED).done(Cancel(), ADMIN)
    assert cancelled.market is not None
    assert cancelled.market.state is MarketState.CANCELLED


def test_refund_pays_what_was_invested_and_no_resolver() -> None:
    scene = Scene().reach(MarketState.DISPUTED)
    scene.chain.end_dispute(MARKET, 0, 1)
    refund = scene.done(Claim(), ALICE)
    assert [move.purpose for move in refund.transfers] == [Purpose.REFUND]
    assert refund.received(ALICE) == 999_928_380


def test_resolver_who_claims_receives_both() -> None:
    scene = Scene().reach(MarketState.ACTIVE)
    scene.done(RESOLVE, ALICE)
    scene.chain.wait(PERIOD)
    scene.chain.finalize(MARKET, None, None)
    claim = scene.done(Claim(), ALICE)
    assert claim.received(ALICE) == sum(move.lamports for move in claim.transfers)


def test_fee_wallet_that_trades_pays_itself_no_fee() -> None:
    scene = Scene().reach(MarketState.ACTIVE)
    buy = scene.done(Buy(outcome=True, max_cost=SOL), FEES)
    assert buy.trade is not None
    assert buy.sent(FEES) == buy.trade.total - buy.trade.fees.protocol + 2_157_600
    assert buy.received(FEES) == 0


@pytest.mark.parametrize(
    ("state", "act", "wallet", "error"),
    [
        (MarketState.PROPOSED, CREATE, ALICE, "AccountAlreadyInUse"),
        (MarketState.APPROVED, VoteProposal(vote=True), ALICE, "InvalidStateForVoting"),
        (MarketState.PROPOSED, Approve(), CREATOR, "Unauthorized"),
        (MarketState.PROPOSED, Approve(), ADMIN, "NoVotesRecorded"),
        (MarketState.ACTIVE, Approve(), ADMIN, "InvalidStateTransition"),
        (MarketState.APPROVED, Activate(), ALICE, "Unauthorized"),
        (MarketState.PROPOSED, Activate(), CREATOR, "InvalidStateTransition"),
        (MarketState.ACTIVE, Cancel(), ADMIN, "CannotCancelMarket"),
        (MarketState.PROPOSED, Cancel(), CREATOR, "Unauthorized"),
        (MarketState.APPROVED, Buy(outcome=True, max_cost=SOL), ALICE, "InvalidMarketState"),
        (MarketState.ACTIVE, Buy(outcome=True, max_cost=9_999), ALICE, "TradeTooSmall"),
        (MarketState.ACTIVE, Sell(outcome=True, shares=SOL), CREATOR, "AccountNotInitialized"),
        (MarketState.ACTIVE, Sell(outcome=False, shares=SOL), ALICE, "InsufficientShares"),
        (
            MarketState.ACTIVE,
            Sell(outcome=True, shares=SOL, min_proceeds=SOL),
            ALICE,
            "SlippageExceeded",
        ),
        (MarketState.RESOLVING, RESOLVE, ALICE, "InvalidMarketState"),
        (MarketState.ACTIVE, Dispute(), ALICE, "InvalidMarketState"),
        (MarketState.RESOLVING, VoteDispute(vote=True), ALICE, "InvalidStateForVoting"),
        (MarketState.RESOLVING, Claim(), ALICE, "InvalidMarketState"),
        (MarketState.FINALIZED, Claim(), BOB, "NoWinnings"),
        (MarketState.FINALIZED, Claim(), CREATOR, "AccountNotInitialized"),
        (MarketState.FINALIZED, Withdraw(), ALICE, "Unauthorized"),
        (MarketState.RESOLVING, Withdraw(), CREATOR, "InvalidMarketState"),
        (MarketState.ACTIVE, Pause(paused=True), CREATOR, "Unauthorized"),
        (MarketState.ACTIVE, UpdateConfig(dispute_period=1), CREATOR, "Unauthorized"),
        (
            MarketState.ACTIVE,
            UpdateConfig(protocol_fee_bps=9_301),
            ADMIN,
            "InvalidFeeStructure",
        ),
    ],
)
def test_refused_for_the_programs_reason(
    state: MarketState, act: Act, wallet: Pubkey, error: str
) -> None:
    assert Scene().reach(state).refused(act, wallet).error == error


def test_what_can_be_done_once_is_refused_the_second_time() -> None:
    proposal = Scene().reach(MarketState.PROPOSED)
    proposal.done(VoteProposal(vote=True), ALICE)
    assert proposal.refused(VoteProposal(vote=False), ALICE).reason is Reason.ALREADY_VOTED
    final = Scene().reach(MarketState.FINALIZED)
    final.done(Claim(), ALICE)
    assert final.refused(Claim(), ALICE).error == "AlreadyClaimed"
    final.done(Withdraw(), CREATOR)
    assert final.refused(Withdraw(), CREATOR).error == "InsufficientLiquidity"
    cancelled = Scene().reach(MarketState.PROPOSED)
    cancelled.done(Cancel(), ADMIN)
    assert cancelled.refused(Cancel(), ADMIN).error == "MarketAlreadyCancelled"


def test_windows_are_those_of_the_chains_clock() -> None:
    early = Scene().reach(MarketState.APPROVED)
    early.done(Activate(), CREATOR)
    assert early.refused(RESOLVE, ALICE).error == "InvalidTimestamp"
    early.done(RESOLVE, ALICE)
    assert early.refused(Dispute(), BOB).error == "InvalidTimestamp"
    early.chain.wait(PERIOD)
    assert early.refused(Dispute(), BOB).error == "DisputePeriodEnded"
    old = Scene().reach(MarketState.ACTIVE)
    old.chain.wait(315_360_000)
    assert old.refused(RESOLVE, ALICE).error == "InvalidTimestamp"


def test_pause_stops_creation_and_trading_alone() -> None:
    scene = Scene().reach(MarketState.ACTIVE)
    scene.done(Pause(paused=True), ADMIN)
    assert scene.refused(Pause(paused=True), ADMIN).reason is Reason.NO_CHANGE
    for act in (Buy(outcome=True, max_cost=SOL), Sell(outcome=True, shares=SOL)):
        assert scene.refused(act, ALICE).error == "ProtocolPaused"
    other = execute(scene.chain, CREATE, CREATOR, bytes(32))
    assert isinstance(other, Refusal)
    assert other.error == "ProtocolPaused"
    scene.done(RESOLVE, ALICE)


def test_limits_of_a_trade_are_ours_where_the_program_has_none() -> None:
    scene = Scene().reach(MarketState.ACTIVE)
    few = Buy(outcome=True, max_cost=SOL, min_shares=10 * SOL)
    dear = BuyShares(outcome=True, shares=10 * SOL, max_cost=SOL)
    for act in (few, dear):
        refusal = act.refusal(scene.chain.view(act, ALICE, MARKET))
        assert refusal is not None
        assert refusal.error == "SlippageExceeded"
    nothing = Scene()
    nothing.reach(MarketState.APPROVED).done(Activate(), CREATOR)
    refusal = nothing.refused(Buy(outcome=True, max_cost=1_071_509), ALICE)
    assert refusal.reason is Reason.TRADE_TOO_SMALL
    assert "1071510" in refusal.remedy


def test_wallet_must_be_able_to_pay() -> None:
    scene = Scene().reach(MarketState.ACTIVE)
    buy = Buy(outcome=False, max_cost=SOL)
    cost = buy.effects(scene.chain.view(Buy, ALICE, MARKET)).sent(ALICE)
    for lamports, error in (
        (FEE + cost - 1, "ResultWithNegativeLamports"),
        (0, "AccountNotFound"),
        (4_999, "InsufficientFundsForFee"),
    ):
        scene.chain.fund(ALICE, lamports)
        view = scene.chain.view(Buy, ALICE, MARKET)
        refusal = funds_refusal(view, buy.effects(view), FEE)
        assert refusal is not None
        assert refusal.error == error
        assert scene.chain.send(buy.instruction(view), ALICE) is not None


def test_lamports_at_a_new_accounts_address_lower_its_rent() -> None:
    scene = Scene().reach(MarketState.PROPOSED)
    view = scene.chain.view(VoteProposal, ALICE, MARKET)
    scene.chain.fund(view.vote_address(VoteKind.PROPOSAL), 1_000_000)
    vote = scene.done(VoteProposal(vote=True), ALICE)
    assert vote.created[0].rent == 468_560


def test_every_module_is_an_act() -> None:
    modules = {path.stem for path in Path(acts.__path__[0]).glob("[a-z]*.py")}
    assert {name.replace("-", "_") for name in ACTS} == modules
    for act in ACTS.values():
        assert act.__doc__
