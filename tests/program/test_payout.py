"""Payouts against figures of whole markets: three buyers, four sizes of liquidity."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.program import strategies
from zmart_pipelines.program.accounts import (
    DISCRIMINATOR,
    MarketAccount,
    MarketState,
    UserPosition,
    decode_as,
)
from zmart_pipelines.program.errors import ProgramError
from zmart_pipelines.program.lmsr import PRECISION, Fees, Pool, buy
from zmart_pipelines.program.payout import (
    MARKET_RENT,
    Claim,
    PayoutError,
    claim,
    claim_amount,
    rent_minimum,
    withdrawable,
)

SOL = PRECISION
FEES = Fees(300, 200, 500)
Trades = list[tuple[bool, int]]
TWO: Trades = [(True, SOL), (False, SOL // 2)]
THREE: Trades = [*TWO, (True, 2 * SOL)]


def finalized(
    trades: Trades, initial_liquidity: int, outcome: bool | None
) -> tuple[MarketAccount, list[UserPosition], int]:
    """The market, the buyers' positions and the account's balance after these buys."""
    pool, balance, fees, resolver_fees = Pool.fresh(100 * SOL), MARKET_RENT, 0, 0
    positions = []
    for side, target in trades:
        fill = buy(pool, side, target, FEES)
        pool = pool.moved(side, fill.shares)
        balance += fill.total - fill.protocol_fee
        fees += fill.resolver_fee + fill.lp_fee
        resolver_fees += fill.resolver_fee
        yes, no = (fill.shares, 0) if side else (0, fill.shares)
        positions.append(
            UserPosition(bytes(32), bytes(32), yes, no, fill.total, 1, 1, False, 0, bytes(64), 255)
        )
    empty = decode_as(MarketAccount, DISCRIMINATOR[MarketAccount] + bytes(480))
    market = msgspec.structs.replace(
        empty,
        state=MarketState.FINALIZED,
        b_parameter=pool.b_parameter,
        initial_liquidity=initial_liquidity,
        current_liquidity=initial_liquidity + fees,
        shares_yes=pool.shares_yes,
        shares_no=pool.shares_no,
        accumulated_resolver_fees=resolver_fees,
        final_outcome=outcome,
    )
    return market, positions, balance


def test_rent() -> None:
    assert [rent_minimum(size) for size in (206, 488, 182, 83)] == [
        2324640,
        4287360,
        2157600,
        1468560,
    ]


def test_two_buyers() -> None:
    market, (yes, no), balance = finalized(TWO, SOL // 10, True)
    assert market.current_liquidity == 195446344
    assert balance == 1463252904
    assert claim(market, yes, balance) == Claim(185350052, 27270384)
    left = balance - 185350052 - 27270384
    assert left == 1250632468
    assert withdrawable(left) == 1246335108
    with pytest.raises(PayoutError) as error:
        claim(market, no, balance)
    assert error.value.code is ProgramError.NoWinnings


@pytest.mark.parametrize(
    ("liquidity", "winners", "loser"),
    [
        (1, (74081784, 144584553), 200792598),
        (SOL // 10, (107346816, 209507525), 290954735),
        (SOL, (406732099, 793814283), 1102413977),
    ],
)
def test_three_buyers(liquidity: int, winners: tuple[int, int], loser: int) -> None:
    market, (a, b, c), balance = finalized(THREE, liquidity, True)
    assert balance == 3408441642
    assert (claim_amount(market, a), claim_amount(market, c)) == winners
    assert claim_amount(market, b) == 0
    assert claim(market, a, balance).resolver_payment == 63629052
    market, (a, b, c), balance = finalized(THREE, liquidity, False)
    assert claim_amount(market, b) == loser


def test_promising_more_than_the_market_holds() -> None:
    for outcome, who in ((True, 0), (True, 2), (False, 1)):
        market, positions, balance = finalized(THREE, 10 * SOL, outcome)
        with pytest.raises(PayoutError) as error:
            claim(market, positions[who], balance)
        assert error.value.code is ProgramError.InsufficientLiquidity


def test_refunds_run_out() -> None:
    market, (a, b, c), balance = finalized(THREE, SOL // 10, None)
    for position, amount in ((a, 999928380), (b, 499942740)):
        paid = claim(market, position, balance)
        assert paid == Claim(amount, 0)
        balance -= paid.winnings
    with pytest.raises(PayoutError) as error:
        claim(market, c, balance)
    assert error.value.code is ProgramError.InsufficientLiquidity


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"state": MarketState.RESOLVING}, ProgramError.InvalidMarketState),
        ({"current_liquidity": 0}, ProgramError.NoWinnings),
    ],
)
def test_refused_claims(changes: dict[str, object], code: ProgramError) -> None:
    market, (yes, _), balance = finalized(TWO, SOL // 10, True)
    with pytest.raises(PayoutError) as error:
        claim(msgspec.structs.replace(market, **changes), yes, balance)
    assert error.value.code is code


def test_a_second_claim_is_refused_and_rent_stays() -> None:
    market, (yes, _), balance = finalized(TWO, SOL // 10, True)
    with pytest.raises(PayoutError) as error:
        claim(market, msgspec.structs.replace(yes, has_claimed=True), balance)
    assert error.value.code is ProgramError.AlreadyClaimed
    short = 185350052 + 27270384 + MARKET_RENT
    assert claim(market, yes, short)
    with pytest.raises(PayoutError) as error:
        claim(market, yes, short - 1)
    assert error.value.code is ProgramError.WouldBreakRentExemption


@given(strategies.of_type(MarketAccount), strategies.of_type(UserPosition), st.booleans())
def test_all_winners_together_get_at_most_the_liquidity(
    market: MarketAccount, position: UserPosition, outcome: bool
) -> None:
    held = position.shares_yes if outcome else position.shares_no
    outstanding = market.shares_yes if outcome else market.shares_no
    market = msgspec.structs.replace(market, final_outcome=outcome)
    amount = claim_amount(market, position)
    if outstanding == 0:
        assert amount == 0
    elif held <= outstanding:
        assert amount <= market.current_liquidity


def test_what_can_be_withdrawn() -> None:
    assert withdrawable(MARKET_RENT + 10_001) == 1
    assert withdrawable(MARKET_RENT + 10_000) == 0
    assert withdrawable(0) == 0
