"""Over random sequences of acts: what is said before an act is what the program then does."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from localnet.program import PROGRAM_SO
from localnet.program.build import build
from tests.wallet_transactions.executed import execute
from tests.wallet_transactions.svm_chain import ADMIN, ALICE, BOB, CREATOR, FEES, SOL, SvmChain
from zmart_pipelines.ipfs.cid import cid_v0
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.wallet_transactions.act import Act
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
from zmart_pipelines.wallet_transactions.effects import Effects
from zmart_pipelines.wallet_transactions.refusals import Refusal

pytestmark = pytest.mark.process

CID = cid_v0(b"evidence")
OPENED = bytes([1]) * 32
MARKETS = st.sampled_from([OPENED, OPENED, bytes([2]) * 32, bytes([3]) * 32])
ANY = st.sampled_from([ALICE, ALICE, BOB, CREATOR, ADMIN, FEES])
MONEY = st.one_of(
    st.sampled_from([1, 9_999, 10_000, 1_071_509, 1_071_510, SOL, 2_500 * SOL, 10**15]),
    st.integers(10_000, 60 * SOL),
)
SHARES = st.one_of(st.sampled_from([1, SOL, 10**13]), st.integers(1, 50 * SOL))
SIDE = st.booleans()
SECONDS = st.sampled_from([0, 1, 1, 1, 60, 259_199, 259_200])
BPS = st.none() | st.sampled_from([0, 200, 300, 500, 600, 9_900])
_CREATE = st.builds(
    Create,
    liquidity=st.sampled_from([1, SOL // 10, 5 * SOL, 20 * SOL]),
    b_parameter=st.sampled_from([100 * SOL, 137 * SOL, 1_000 * SOL]),
    ipfs_question_hash=st.just(CID),
)
_VOTE = st.builds(VoteProposal, vote=SIDE)
_BUY = st.builds(Buy, outcome=SIDE, max_cost=MONEY)
_BUY_SHARES = st.builds(BuyShares, outcome=SIDE, shares=SHARES)
_SELL = st.builds(Sell, outcome=SIDE, shares=SHARES, min_proceeds=st.sampled_from([0, SOL]))
_RESOLVE = st.builds(Resolve, outcome=SIDE, ipfs_evidence_hash=st.just(CID))
_VOTE_DISPUTE = st.builds(VoteDispute, vote=SIDE)
_IN_MARKET: tuple[st.SearchStrategy[Act], ...] = (
    _CREATE,
    _VOTE,
    st.just(Approve()),
    st.just(Cancel()),
    st.just(Activate()),
    _BUY,
    _BUY_SHARES,
    _SELL,
    _RESOLVE,
    st.just(Dispute()),
    _VOTE_DISPUTE,
    st.just(Claim()),
    st.just(Withdraw()),
)
_PROTOCOL = st.one_of(
    st.builds(Pause, paused=st.booleans()),
    st.builds(
        UpdateConfig,
        protocol_fee_bps=BPS,
        resolver_reward_bps=BPS,
        liquidity_provider_fee_bps=BPS,
        dispute_period=st.none() | st.sampled_from([60, 259_200]),
    ),
)
# What carries a market on from each state, or is done in it.
_FITTING: dict[MarketState | None, st.SearchStrategy[Act]] = {
    None: _CREATE,
    MarketState.PROPOSED: st.one_of(_VOTE, *[st.just(Approve())] * 4, st.just(Cancel())),
    MarketState.APPROVED: st.just(Activate()),
    MarketState.ACTIVE: st.one_of(_BUY, _BUY, _BUY_SHARES, _SELL, _RESOLVE),
    MarketState.RESOLVING: st.just(Dispute()),
    MarketState.DISPUTED: _VOTE_DISPUTE,
    MarketState.FINALIZED: st.one_of(*[st.just(Claim())] * 3, st.just(Withdraw())),
    MarketState.CANCELLED: st.just(Cancel()),
}
Seen = Counter[tuple[str, str]]


class Life:
    """A random life of three markets; ``seen`` counts what was shown in it."""

    def __init__(self, program: bytes, data: st.DataObject, seen: Seen) -> None:
        self.chain = SvmChain(program)
        self.data = data
        self.seen = seen
        self.open(OPENED)

    def open(self, market: bytes) -> None:
        """A market with two holders, as most of a life is about."""
        first = Create(liquidity=SOL, b_parameter=100 * SOL, ipfs_question_hash=CID)
        self.do(first, CREATOR, market)
        self.chain.count_votes(market, 7, 3)
        self.do(Approve(), ADMIN, market)
        self.do(Activate(), CREATOR, market)
        for wallet, outcome in ((ALICE, True), (BOB, False), (BOB, True)):
            self.do(Buy(outcome=outcome, max_cost=2 * SOL), wallet, market)
        self.do(Sell(outcome=True, shares=SOL), ALICE, market)

    def do(self, act: Act, wallet: Pubkey, market: bytes | None) -> None:
        result = execute(self.chain, act, wallet, market)
        if isinstance(result, Effects):
            self.seen[act.NAME, "done"] += 1
        elif isinstance(result, Refusal):
            self.seen[act.NAME, result.error or result.reason.name] += 1

    def step(self) -> None:
        """Anything at all, the pipelines' part, or what fits the market's state."""
        market, wallet = self.data.draw(MARKETS), self.data.draw(ANY)
        self.chain.wait(self.data.draw(SECONDS))
        match self.data.draw(st.integers(0, 9)):
            case 0:
                self.do(self.data.draw(st.one_of(*_IN_MARKET)), wallet, market)
            case 1:
                self.administer(self.data.draw(st.sampled_from([ADMIN, ADMIN, wallet])))
            case 2 | 3:
                self.pipelines(market)
            case _:
                found = self.chain.view(Claim, wallet, market).market
                act = self.data.draw(_FITTING[None if found is None else found.state])
                by_admin = act.NAME in ("approve", "cancel", "activate")
                self.do(act, ADMIN if by_admin else wallet, market)

    def administer(self, wallet: Pubkey) -> None:
        """Change the protocol, see what a trade does then, and mostly change it back."""
        act = self.data.draw(_PROTOCOL)
        before = self.chain.view(act, wallet, None).config
        self.do(act, wallet, None)
        self.do(self.data.draw(_BUY), ALICE, self.data.draw(MARKETS))
        if self.data.draw(st.integers(0, 3)):
            self.do(Pause(paused=before.is_paused), ADMIN, None)
            names = UpdateConfig.__struct_fields__
            self.do(UpdateConfig(**{name: getattr(before, name) for name in names}), ADMIN, None)

    def pipelines(self, market: bytes) -> None:
        """Counts of a proposal, and the end of a market, which may be without outcome."""
        likes = self.data.draw(st.sampled_from([0, 6, 7, 10]))
        self.chain.count_votes(market, likes, 10 - likes)
        if likes == 0:
            self.chain.end_dispute(market, 0, 10)
        self.chain.finalize(market, likes, 10 - likes)


def seen_in_lives(program: bytes, lives: int) -> Seen:
    """What was shown in so many lives."""
    seen: Seen = Counter()

    @given(st.data())
    # A life is too long to be shrunk in a test's time.
    @settings(
        max_examples=lives,
        phases=(Phase.reuse, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    def live(data: st.DataObject) -> None:
        life = Life(program, data, seen)
        for _ in range(60):
            life.step()

    live()
    return seen


def test_what_is_said_is_what_happens() -> None:
    seen = seen_in_lives(PROGRAM_SO.read_bytes(), 40)
    assert seen["buy", "done"], seen
    assert not seen["sell", "done"], seen


def test_with_a_program_that_pays_for_sales() -> None:
    seen = seen_in_lives(build(sell_works=True), 20)
    assert seen["sell", "done"], seen
