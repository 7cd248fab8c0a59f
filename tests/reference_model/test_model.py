"""The model's money against vectors worked out from the deployed program."""

from __future__ import annotations

import pytest
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from tests.reference_model.account_frame import Cell
from tests.reference_model.model import Model, Result
from zmart_pipelines.program import instructions as ix
from zmart_pipelines.program.accounts import MarketAccount, MarketState, decode_as
from zmart_pipelines.program.addresses import market_address
from zmart_pipelines.program.errors import ProgramError as E
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID as PROGRAM

SOL = 10**9
WINDOW = 259_200
MARKET_ID = bytes([1]) * 32


def value(result: Result, name: str) -> int:
    """A number of the one event of a transaction."""
    number = getattr(result.events[0], name)
    assert isinstance(number, int)
    return number


class Stage:
    """A model with a configuration, wallets and one market."""

    def __init__(self, liquidity: int = SOL // 10) -> None:
        self.model = Model(PROGRAM)
        self.now = 1_762_768_370
        self.admin, self.backend, self.fees, self.a, self.b, self.c, self.resolver = (
            Pubkey(bytes([n]) * 32) for n in range(10, 17)
        )
        for wallet in (
            self.admin,
            self.backend,
            self.fees,
            self.a,
            self.b,
            self.c,
            self.resolver,
        ):
            self.model.cells[wallet] = Cell(1000 * SOL)
        self.address = market_address(PROGRAM, MARKET_ID)[0]
        self.ok(
            ix.initialize_global_config(
                PROGRAM,
                admin=self.admin,
                backend_authority=self.backend,
                protocol_fee_wallet=self.fees,
            ),
            self.admin,
        )
        self.ok(
            ix.create_market(
                PROGRAM,
                creator=self.admin,
                market_id=MARKET_ID,
                b_parameter=100 * SOL,
                initial_liquidity=liquidity,
                question_hash=b"Q" * 46,
            ),
            self.admin,
        )

    def run(self, instruction: Instruction, payer: Pubkey, seconds: int = 1) -> Result:
        self.now += seconds
        return self.model.process(instruction, payer, self.now)

    def ok(self, instruction: Instruction, payer: Pubkey, seconds: int = 1) -> Result:
        result = self.run(instruction, payer, seconds)
        assert (result.error, result.rent_broken, result.unpaid) == (None, None, False)
        assert len(result.events) == 1
        return result

    def market(self) -> MarketAccount:
        return decode_as(MarketAccount, self.model.cells[self.address].data)

    def open(self) -> None:
        self.ok(
            ix.aggregate_proposal_votes(
                PROGRAM, backend_authority=self.backend, market=self.address, likes=7, dislikes=3
            ),
            self.backend,
        )
        self.ok(ix.approve_proposal(PROGRAM, admin=self.admin, market=self.address), self.admin)
        self.ok(ix.activate_market(PROGRAM, authority=self.admin, market=self.address), self.admin)

    def buy(self, user: Pubkey, outcome: bool, lamports: int) -> Result:
        return self.run(
            ix.buy_shares(
                PROGRAM,
                user=user,
                market=self.address,
                protocol_fee_wallet=self.fees,
                outcome=outcome,
                target_cost=lamports,
            ),
            user,
        )

    def end(self, outcome: bool) -> None:
        self.ok(
            ix.resolve_market(
                PROGRAM,
                resolver=self.resolver,
                market=self.address,
                outcome=outcome,
                evidence_hash=b"E" * 46,
            ),
            self.resolver,
        )
        self.ok(
            ix.finalize_market(PROGRAM, backend_authority=self.backend, market=self.address),
            self.backend,
            WINDOW,
        )

    def claim(self, user: Pubkey) -> Result:
        return self.run(
            ix.claim_winnings(PROGRAM, user=user, market=self.address, resolver=self.resolver),
            user,
        )


def test_market_from_creation_to_payout_to_the_lamport() -> None:
    stage = Stage()
    stage.open()
    assert value(stage.buy(stage.a, True, SOL), "shares") == 1_835_823_062
    assert value(stage.buy(stage.b, False, SOL // 2), "shares") == 916_481_020
    market = stage.market()
    assert market.current_liquidity == 195_446_344
    assert market.accumulated_resolver_fees == 27_270_384
    assert stage.model.cells[stage.address].lamports == 1_463_252_904
    stage.end(True)
    before = stage.model.cells[stage.resolver].lamports
    claim = stage.claim(stage.a)
    assert value(claim, "amount") == 185_350_052
    assert stage.model.cells[stage.resolver].lamports - before == 27_270_384
    assert stage.model.cells[stage.address].lamports == 1_250_632_468
    assert stage.claim(stage.a).error == E.AlreadyClaimed
    assert stage.claim(stage.b).error == E.NoWinnings
    withdrawal = stage.ok(
        ix.withdraw_liquidity(PROGRAM, creator=stage.admin, market=stage.address), stage.admin
    )
    assert value(withdrawal, "amount") == 1_246_335_108
    assert stage.market().current_liquidity == 0


@pytest.mark.parametrize(
    ("liquidity", "outcome", "claims"),
    [
        (1, True, {"a": 74_081_784, "c": 144_584_553}),
        (1, False, {"b": 200_792_598}),
        (SOL // 10, True, {"a": 107_346_816, "c": 209_507_525}),
        (SOL // 10, False, {"b": 290_954_735}),
        (SOL, True, {"a": 406_732_099, "c": 793_814_283}),
        (SOL, False, {"b": 1_102_413_977}),
        (10 * SOL, True, {"a": None, "c": None}),
        (10 * SOL, False, {"b": None}),
    ],
)
def test_three_buyers(liquidity: int, outcome: bool, claims: dict[str, int | None]) -> None:
    stage = Stage(liquidity)
    stage.open()
    stage.buy(stage.a, True, SOL)
    stage.buy(stage.b, False, SOL // 2)
    stage.buy(stage.c, True, 2 * SOL)
    assert stage.market().shares_yes == 5_518_777_471
    assert stage.model.cells[stage.address].lamports == 3_408_441_642
    stage.end(outcome)
    for name, amount in claims.items():
        result = stage.claim(getattr(stage, name))
        if amount is None:
            assert result.error == E.InsufficientLiquidity
        else:
            assert value(result, "amount") == amount


def test_a_failed_aggregation_of_a_dispute_leaves_no_outcome() -> None:
    stage = Stage()
    stage.open()
    stage.buy(stage.a, True, SOL)
    stage.buy(stage.b, False, SOL // 2)
    stage.buy(stage.c, True, 2 * SOL)
    stage.ok(
        ix.resolve_market(
            PROGRAM,
            resolver=stage.resolver,
            market=stage.address,
            outcome=True,
            evidence_hash=b"E" * 46,
        ),
        stage.resolver,
    )
    stage.ok(ix.initiate_dispute(PROGRAM, initiator=stage.b, market=stage.address), stage.b)
    stage.ok(
        ix.aggregate_dispute_votes(
            PROGRAM, backend_authority=stage.backend, market=stage.address, agrees=0, disagrees=0
        ),
        stage.backend,
    )
    market = stage.market()
    assert market.state is MarketState.FINALIZED
    assert (market.final_outcome, market.finalized_at, market.was_disputed) == (None, 0, True)
    refunds = [stage.claim(user) for user in (stage.a, stage.b, stage.c)]
    assert [value(r, "amount") for r in refunds[:2]] == [999_928_380, 499_942_740]
    assert refunds[2].error == E.InsufficientLiquidity


def test_a_small_first_buy_underflows_and_changes_nothing() -> None:
    stage = Stage()
    stage.open()
    before = stage.market()
    assert stage.buy(stage.a, True, 1_071_500).error == E.UnderflowError
    assert stage.market() == before
    assert stage.buy(stage.a, True, 1_071_510).error is None


def test_second_vote_fails_with_the_system_programs_error_in_any_state() -> None:
    stage = Stage()
    vote = ix.submit_proposal_vote(PROGRAM, user=stage.a, market=stage.address, vote=True)
    stage.ok(vote, stage.a)
    assert stage.run(vote, stage.a).error == 0
    stage.open()
    assert stage.run(vote, stage.a).error == 0
    other = ix.submit_proposal_vote(PROGRAM, user=stage.b, market=stage.address, vote=True)
    assert stage.run(other, stage.b).error == E.InvalidStateForVoting


def test_sale_always_fails_where_it_would_pay() -> None:
    stage = Stage(10 * SOL)
    stage.open()
    stage.buy(stage.a, True, SOL)
    sale = ix.sell_shares(
        PROGRAM,
        user=stage.a,
        market=stage.address,
        protocol_fee_wallet=stage.fees,
        outcome=True,
        shares=1_000_000_000,
        min_proceeds=0,
    )
    assert stage.run(sale, stage.a).error == "PrivilegeEscalation"
