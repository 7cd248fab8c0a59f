"""Random lives of markets, honest and hostile, for the pair of program and model."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from tests.differential.pair import SOL, Pair
from zmart_pipelines.program import instructions as ix
from zmart_pipelines.program.accounts import (
    GlobalConfig,
    MarketAccount,
    MarketState,
    VoteKind,
    decode_as,
)
from zmart_pipelines.program.addresses import (
    config_address,
    market_address,
    position_address,
    vote_address,
)
from zmart_pipelines.program.ids import CLOCK_SYSVAR, SYSTEM_PROGRAM
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID as PROGRAM

ADMIN, BACKEND, FEES, CREATOR = range(4)
WALLET = st.integers(0, 8)
MARKET = st.sampled_from([0, 0, 0, 1, 1, 2])
B = st.sampled_from(
    [100 * SOL, 100 * SOL - 1, 137 * SOL, 1000 * SOL, 10**4 * SOL, 10**6 * SOL, 0, 1, 2**63]
)
LIQUIDITY = st.sampled_from([1, SOL // 10, SOL, 10 * SOL, 0, 2**64 - 1])
MONEY = st.one_of(
    st.sampled_from([0, 9_999, 10_000, 500_000, 1_071_509, 1_071_510, SOL // 10, SOL, 2 * SOL]),
    st.sampled_from([100 * SOL, 1_000 * SOL, 3_000 * SOL, 2**64 // 10_000, 2**64 - 1]),
    st.integers(10_000, 300 * SOL),
)
VOTES = st.one_of(st.integers(0, 20), st.sampled_from([6_999, 7_000, 10_000, 2**32 - 1]))
FEE = st.sampled_from([0, 1, 200, 300, 300, 500, 500, 1_000, 9_000, 65_535])
THRESHOLD = st.sampled_from([0, 1, 6_000, 6_000, 7_000, 7_000, 10_000, 10_001, 65_535])
PERIOD = st.sampled_from([None, 1, 30, 120, 259_200, 0, -1])
RICH = 3_000 * SOL
SECONDS = st.sampled_from([0, 0, 1, 1, 1, 29, 30, 31, 119, 120, 121, 259_200, 315_360_001])

# How an instruction is tampered with: (part, index, value). Most are left intact.
TAMPERINGS = st.one_of(
    st.none(),
    st.none(),
    st.none(),
    st.tuples(
        st.sampled_from(["swap", "unsign", "readonly", "drop", "cut", "flip", "append"]),
        st.integers(0, 8),
        st.integers(0, 255),
    ),
)
Tampering = tuple[str, int, int] | None


class Lives(RuleBasedStateMachine):
    """Three markets, nine wallets, one configuration."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = self.make_pair()

    def make_pair(self) -> Pair:
        """The pair under test; mutation tests put another program in."""
        return Pair()

    @initialize(b=B, liquidity=LIQUIDITY)
    def begin(self, b: int, liquidity: int) -> None:
        """Most lives begin with a configuration and a market that can trade."""
        wallets = self.pair.wallets
        self.pair.step(
            ix.initialize_global_config(
                PROGRAM,
                admin=wallets[ADMIN],
                backend_authority=wallets[BACKEND],
                protocol_fee_wallet=wallets[FEES],
            ),
            wallets[ADMIN],
        )
        self.create(0, CREATOR, 100 * SOL, SOL // 10, None, 1)
        self.create(1, CREATOR, b, liquidity, None, 1)

    def wallet(self, n: int) -> Pubkey:
        return self.pair.wallets[n]

    def address(self, n: int) -> Pubkey:
        return market_address(PROGRAM, bytes([n + 1]) * 32)[0]

    def market(self, n: int) -> MarketAccount | None:
        cell = self.pair.model.cells.get(self.address(n))
        return decode_as(MarketAccount, cell.data) if cell and cell.data else None

    def keys(self) -> list[Pubkey]:
        """Everything an attacker may put in an account's place."""
        markets = [self.address(n) for n in range(3)]
        return [
            *self.pair.wallets,
            *markets,
            config_address(PROGRAM)[0],
            SYSTEM_PROGRAM,
            CLOCK_SYSVAR,
            position_address(PROGRAM, markets[0], self.wallet(4))[0],
            position_address(PROGRAM, markets[0], self.wallet(5))[0],
            vote_address(PROGRAM, markets[0], self.wallet(4), VoteKind.PROPOSAL)[0],
            Pubkey(bytes([77]) * 32),
        ]

    def tampered(self, instruction: Instruction, tampering: Tampering) -> Instruction:
        if tampering is None:
            return instruction
        what, place, value = tampering
        metas, data = list(instruction.accounts), bytearray(instruction.data)
        place %= len(metas)
        old = metas[place]
        if what == "swap":
            key = self.keys()[value % len(self.keys())]
            signs = old.is_signer and key in self.pair.keypairs
            metas[place] = AccountMeta(key, is_signer=signs, is_writable=old.is_writable)
        elif what == "unsign":
            metas[place] = AccountMeta(old.pubkey, is_signer=False, is_writable=old.is_writable)
        elif what == "readonly":
            metas[place] = AccountMeta(old.pubkey, is_signer=old.is_signer, is_writable=False)
        elif what == "drop":
            metas = metas[:place]
        elif what == "cut":
            data = data[: value % len(data)]
        elif what == "flip":
            data[value % len(data)] ^= 1 << (place % 8)
        else:
            data += bytes([value])
        return Instruction(PROGRAM, bytes(data), metas)

    def send(
        self, instruction: Instruction, payer: int, tampering: Tampering, seconds: int
    ) -> None:
        self.pair.step(self.tampered(instruction, tampering), self.wallet(payer), seconds)

    @rule(n=MARKET, by=WALLET, b=B, liquidity=LIQUIDITY, tampering=TAMPERINGS, seconds=SECONDS)
    def create(
        self, n: int, by: int, b: int, liquidity: int, tampering: Tampering, seconds: int
    ) -> None:
        made = ix.create_market(
            PROGRAM,
            creator=self.wallet(by),
            market_id=bytes([n + 1]) * 32,
            b_parameter=b,
            initial_liquidity=liquidity,
            question_hash=b"Qm" + b"q" * 44,
        )
        self.send(made, by, tampering, seconds)

    @rule(
        fees=st.tuples(FEE, FEE, FEE),
        thresholds=st.tuples(THRESHOLD, THRESHOLD),
        periods=st.tuples(PERIOD, PERIOD),
        by=st.sampled_from([ADMIN, ADMIN, ADMIN, BACKEND]),
        tampering=TAMPERINGS,
    )
    def configure(
        self,
        fees: tuple[int, int, int],
        thresholds: tuple[int, int],
        periods: tuple[int | None, int | None],
        by: int,
        tampering: Tampering,
    ) -> None:
        update = ix.update_global_config(
            PROGRAM,
            admin=self.wallet(by),
            protocol_fee_bps=fees[0],
            resolver_reward_bps=fees[1],
            liquidity_provider_fee_bps=fees[2],
            proposal_approval_threshold=thresholds[0],
            dispute_success_threshold=thresholds[1],
            min_resolution_delay=periods[0],
            dispute_period=periods[1],
        )
        self.send(update, by, tampering, 1)

    @rule(by=st.sampled_from([ADMIN, BACKEND]), tampering=TAMPERINGS)
    def pause_and_maybe_resume(self, by: int, tampering: Tampering) -> None:
        pause = ix.emergency_pause(PROGRAM, admin=self.wallet(by))
        self.send(pause, by, tampering, 1)
        config = decode_as(GlobalConfig, self.pair.model.cells[config_address(PROGRAM)[0]].data)
        if config.is_paused and self.pair.now % 4:
            self.send(ix.emergency_pause(PROGRAM, admin=self.wallet(ADMIN)), ADMIN, None, 1)

    @rule(n=MARKET, by=WALLET, vote=st.booleans(), kind=st.booleans(), tampering=TAMPERINGS)
    def vote(self, n: int, by: int, vote: bool, kind: bool, tampering: Tampering) -> None:
        build = ix.submit_proposal_vote if kind else ix.submit_dispute_vote
        user = self.wallet(by)
        self.send(build(PROGRAM, user=user, market=self.address(n), vote=vote), by, tampering, 1)

    @rule(n=MARKET, counts=st.tuples(VOTES, VOTES), dispute=st.booleans(), tampering=TAMPERINGS)
    def aggregate(
        self, n: int, counts: tuple[int, int], dispute: bool, tampering: Tampering
    ) -> None:
        market, backend = self.address(n), self.wallet(BACKEND)
        if dispute:
            call = ix.aggregate_dispute_votes(
                PROGRAM,
                backend_authority=backend,
                market=market,
                agrees=counts[0],
                disagrees=counts[1],
            )
        else:
            call = ix.aggregate_proposal_votes(
                PROGRAM,
                backend_authority=backend,
                market=market,
                likes=counts[0],
                dislikes=counts[1],
            )
        self.send(call, BACKEND, tampering, 1)

    @rule(n=MARKET, by=WALLET, what=st.integers(0, 2), tampering=TAMPERINGS)
    def admin_acts(self, n: int, by: int, what: int, tampering: Tampering) -> None:
        market, wallet = self.address(n), self.wallet(by)
        call = (
            ix.approve_proposal(PROGRAM, admin=wallet, market=market),
            ix.activate_market(PROGRAM, authority=wallet, market=market),
            ix.cancel_market(PROGRAM, admin=wallet, market=market),
        )[what]
        self.send(call, by, tampering, 1)

    @rule(
        n=MARKET,
        by=WALLET,
        outcome=st.booleans(),
        money=MONEY,
        sell=st.integers(0, 3),
        tampering=TAMPERINGS,
    )
    def trade(
        self, n: int, by: int, outcome: bool, money: int, sell: int, tampering: Tampering
    ) -> None:
        user, market, fees = self.wallet(by), self.address(n), self.wallet(FEES)
        if sell == 3:
            call = ix.sell_shares(
                PROGRAM,
                user=user,
                market=market,
                protocol_fee_wallet=fees,
                outcome=outcome,
                shares=money,
                min_proceeds=money // 7 if money % 2 else 0,
            )
        else:
            call = ix.buy_shares(
                PROGRAM,
                user=user,
                market=market,
                protocol_fee_wallet=fees,
                outcome=outcome,
                target_cost=money,
            )
        self.send(call, by, tampering, 1)

    @rule(n=MARKET, by=WALLET, outcome=st.booleans(), tampering=TAMPERINGS, seconds=SECONDS)
    def resolve(self, n: int, by: int, outcome: bool, tampering: Tampering, seconds: int) -> None:
        call = ix.resolve_market(
            PROGRAM,
            resolver=self.wallet(by),
            market=self.address(n),
            outcome=outcome,
            evidence_hash=b"Qm" + b"e" * 44,
        )
        self.send(call, by, tampering, seconds)

    @rule(n=MARKET, by=WALLET, tampering=TAMPERINGS, seconds=SECONDS)
    def dispute(self, n: int, by: int, tampering: Tampering, seconds: int) -> None:
        call = ix.initiate_dispute(PROGRAM, initiator=self.wallet(by), market=self.address(n))
        self.send(call, by, tampering, seconds)

    @rule(
        n=MARKET,
        counts=st.tuples(st.none() | VOTES, st.none() | VOTES),
        tampering=TAMPERINGS,
        seconds=SECONDS,
    )
    def finalize(
        self, n: int, counts: tuple[int | None, int | None], tampering: Tampering, seconds: int
    ) -> None:
        call = ix.finalize_market(
            PROGRAM,
            backend_authority=self.wallet(BACKEND),
            market=self.address(n),
            dispute_agree=counts[0],
            dispute_disagree=counts[1],
        )
        self.send(call, BACKEND, tampering, seconds)

    @rule(n=MARKET, by=WALLET, tampering=TAMPERINGS)
    def claim(self, n: int, by: int, tampering: Tampering) -> None:
        market = self.market(n)
        resolver = Pubkey(market.resolver) if market else self.wallet(by)
        call = ix.claim_winnings(
            PROGRAM, user=self.wallet(by), market=self.address(n), resolver=resolver
        )
        self.send(call, by, tampering, 1)

    @rule(n=MARKET, by=st.sampled_from([CREATOR, CREATOR, 5]), tampering=TAMPERINGS)
    def withdraw(self, n: int, by: int, tampering: Tampering) -> None:
        call = ix.withdraw_liquidity(PROGRAM, creator=self.wallet(by), market=self.address(n))
        self.send(call, by, tampering, 1)

    @rule(n=MARKET, yes=st.booleans(), disputed=st.booleans(), steps=st.integers(1, 5))
    def advance(self, n: int, yes: bool, disputed: bool, steps: int) -> None:
        """Advance a market by valid transactions, so that late states are reached often."""
        for _ in range(steps):
            market = self.market(n)
            if market is None:
                return
            creator = self.pair.wallets.index(Pubkey(market.creator))
            if market.state is MarketState.PROPOSED:
                if market.proposal_total_votes == 0:
                    self.aggregate(n, (10_000, 0), False, None)
                else:
                    self.admin_acts(n, ADMIN, 0, None)
            elif market.state is MarketState.APPROVED:
                self.admin_acts(n, creator, 1, None)
            elif market.state is MarketState.ACTIVE:
                self.trade(n, 4, yes, SOL, 0, None)
                self.trade(n, 5, not yes, SOL // 2, 0, None)
                self.resolve(n, 6, yes, None, 1)
            elif market.state is MarketState.RESOLVING and disputed:
                self.dispute(n, 5, None, 1)
                disputed = False
            elif market.state is MarketState.RESOLVING:
                self.finalize(n, (None, None), None, 259_200)
            elif market.state is MarketState.DISPUTED:
                self.finalize(n, (6, 4), None, 1)
            else:
                self.claim(n, 4, None)
                self.claim(n, 5, None)

    @rule(n=MARKET, yes=st.booleans(), disputed=st.booleans())
    def live_on(self, n: int, yes: bool, disputed: bool) -> None:
        """One honest step more."""
        self.advance(n, yes, disputed, 1)

    @rule(
        n=MARKET,
        wanted=st.sampled_from([MarketState.APPROVED, MarketState.RESOLVING]),
        edge=st.integers(-1, 1),
        dispute=st.booleans(),
        cancel=st.booleans(),
    )
    def act_at_the_edge(
        self, n: int, wanted: MarketState, edge: int, dispute: bool, cancel: bool
    ) -> None:
        """The second before the window ends, the second it ends, the second after; and for
        a market about to open or to be cancelled, the very second of its last step."""
        for _ in range(4):
            market = self.market(n)
            if market is None or market.state is wanted:
                break
            self.advance(n, True, False, 1)
        market = self.market(n)
        if market is None:
            return
        if market.state is MarketState.RESOLVING:
            config = decode_as(GlobalConfig, self.pair.model.cells[config_address(PROGRAM)[0]].data)
            end = market.resolution_proposed_at + config.dispute_period
            seconds = max(0, end + edge - self.pair.now)
            if dispute:
                self.dispute(n, 5, None, seconds)
            else:
                self.finalize(n, (None, None), None, seconds)
        elif market.state is MarketState.APPROVED and cancel:
            self.admin_acts(n, ADMIN, 2, None)
        elif market.state is MarketState.APPROVED:
            self.admin_acts(n, ADMIN, 1, None)
            self.resolve(n, 6, True, None, 0)

    @rule(n=MARKET, by=WALLET, yes=st.booleans(), lamports=MONEY)
    def poor_wallet_trades(self, n: int, by: int, yes: bool, lamports: int) -> None:
        """A wallet that can hardly pay, or not, buys; then it is rich again."""
        self.pair.fund(self.wallet(by), min(lamports, RICH) + 2_000_000)
        self.trade(n, by, yes, lamports, 0, None)
        self.pair.fund(self.wallet(by), RICH)
