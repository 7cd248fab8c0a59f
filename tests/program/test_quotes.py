"""Quotes against figures of the deployed program, and what must hold for every pool."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st

from zmart_pipelines.program import lmsr, quotes
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.program.errors import ProgramError
from zmart_pipelines.program.lmsr import PRECISION, Fees, FeeSplit, LmsrError, Pool

SOL = PRECISION
FEES = Fees(300, 200, 500)
YES, NO = True, False
FRESH = Pool.fresh(100 * SOL)

# Pools that the program can be in: what wallets hold on top of the b / 1000 of each side.
_b = st.integers(100 * SOL, 10**6 * SOL)
pools = st.builds(
    lambda b, yes, no: Pool.fresh(b).moved(YES, yes * b // 10**6).moved(NO, no * b // 10**6),
    _b,
    st.integers(0, 4 * 10**6),
    st.integers(0, 4 * 10**6),
)


def terms(
    pool: Pool = FRESH,
    *,
    state: MarketState = MarketState.ACTIVE,
    current_liquidity: int = 10 * SOL,
    fees: Fees = FEES,
    is_paused: bool = False,
) -> quotes.Terms:
    return quotes.Terms(state, pool, current_liquidity, fees, is_paused)


def figures(quote: quotes.Quote) -> quotes.Figures:
    assert quote.figures is not None, quote
    return quote.figures


def error_of(quote: quotes.Quote) -> ProgramError | None:
    assert quote.refusal is not None, quote
    return quote.refusal.error


def test_quoted_budget_is_the_first_trade_on_devnet() -> None:
    """A YES buy of 1 SOL at b = 100 SOL: shares, cost and price as the chain reported them."""
    quote = quotes.quote_budget(terms(), YES, SOL)
    assert quote == quotes.Quote(
        quotes.Figures(
            shares=1_835_823_062,
            budget=SOL,
            amount=909_025_800,
            fees=FeeSplit(27_270_774, 18_180_516, 45_451_290),
            total=999_928_380,
            price_before=500_000_000,
            price_after=504_589_428,
            average_price=999_928_380 * 10**9 // 1_835_823_062,
            impact_bps=91,  # 4589428 of 500000000 is 91.79
            slippage_bps=-97,  # 909025800 of 1835823062 is 0.49516; the bonus of a fresh pool
        ),
        None,
        1_071_510,
    )


def test_quoted_sale_has_the_figures_of_the_arithmetic_and_says_that_it_fails() -> None:
    pool = Pool(100 * SOL, 1_935_823_062, 1_016_481_020)
    quote = quotes.quote_sale(terms(pool), YES, SOL)
    sale = figures(quote)
    assert (sale.shares, sale.amount, sale.total) == (SOL, 501_610_600, 451_449_540)
    assert (sale.budget, sale.price_after) == (None, 499_798_355)
    assert sale.fees == FeeSplit(15_048_318, 10_032_212, 25_080_530)
    assert sale.impact_bps == (499_798_355 - sale.price_before) * 10_000 // sale.price_before < 0
    assert quote.refusal == quotes.Refusal(quotes.Cause.SALES_FAIL)
    bought_back = figures(quotes.quote_proceeds(terms(pool), YES, sale.total))
    assert bought_back.total == sale.total
    assert bought_back.shares <= sale.shares


@pytest.mark.parametrize(
    ("b", "smallest"),
    [
        (100, 1_071_510),
        (1_000, 10_715_100),
        (10_000, 107_151_000),
        (100_000, 1_071_510_000),
        (1_000_000, 10_715_100_000),
    ],
)
def test_smallest_trade_of_a_balanced_pool(b: int, smallest: int) -> None:
    pool = Pool.fresh(b * SOL)
    assert quotes.smallest_budget(pool, YES, FEES) == smallest
    assert quotes.smallest_budget(pool, NO, FEES) == smallest
    refused = quotes.quote_budget(terms(pool), YES, smallest - 1).refusal
    assert refused == quotes.Refusal(quotes.Cause.TOO_SMALL, ProgramError.UnderflowError)
    accepted = quotes.quote_shares(terms(pool), YES, 1)
    assert (accepted.refusal, figures(accepted).budget) == (None, smallest)


def test_budget_that_the_program_takes_for_nothing_is_refused() -> None:
    """One lamport less than the smallest budget of an unbalanced pool buys 0 shares for 0."""
    pool = FRESH.moved(YES, SOL)
    smallest = quotes.smallest_budget(pool, YES, FEES)
    assert smallest is not None
    assert lmsr.buy(pool, YES, smallest - 1, FEES).shares == 0
    quote = quotes.quote_budget(terms(pool), YES, smallest - 1)
    assert quote.refusal == quotes.Refusal(quotes.Cause.TOO_SMALL)
    assert quote.smallest == smallest


ACTIVE, FINALIZED = MarketState.ACTIVE, MarketState.FINALIZED


@pytest.mark.parametrize(
    ("state", "is_paused", "error"),
    [
        *(
            (state, False, ProgramError.InvalidMarketState)
            for state in MarketState
            if state is not ACTIVE
        ),
        (ACTIVE, True, ProgramError.ProtocolPaused),
        (FINALIZED, True, ProgramError.InvalidMarketState),
    ],
)
def test_closed_market_and_pause_refuse_although_there_are_figures(
    state: MarketState, is_paused: bool, error: ProgramError
) -> None:
    fresh = terms(state=state, is_paused=is_paused)
    traded = terms(FRESH.moved(YES, SOL), state=state, is_paused=is_paused)
    for quote in (
        quotes.quote_budget(fresh, YES, SOL),
        quotes.quote_shares(fresh, NO, SOL),
        quotes.quote_sale(traded, YES, SOL),
        quotes.quote_proceeds(traded, YES, SOL // 10),
    ):
        assert error_of(quote) is error
        assert figures(quote).total > 0


@pytest.mark.parametrize(
    ("quote", "error"),
    [
        (quotes.quote_budget(terms(), YES, 9_999), ProgramError.TradeTooSmall),
        (quotes.quote_budget(terms(), YES, 2 * 10**15), ProgramError.OverflowError),
        (
            quotes.quote_budget(terms(fees=Fees(500, 300, 500)), YES, SOL),
            ProgramError.SlippageExceeded,
        ),
        (quotes.quote_budget(terms(fees=Fees(0, 0, 0)), YES, SOL), ProgramError.DivisionByZero),
        (
            quotes.quote_budget(terms(Pool.fresh(100 * SOL - 1)), YES, SOL),
            ProgramError.InvalidBParameter,
        ),
        (
            quotes.quote_shares(terms(Pool.fresh(100 * SOL - 1)), YES, SOL),
            ProgramError.InvalidBParameter,
        ),
        (
            quotes.quote_shares(terms(FRESH.moved(YES, 1100 * SOL)), YES, SOL),
            ProgramError.ExponentTooLarge,
        ),
        (quotes.quote_shares(terms(), YES, 2001 * SOL), None),
        (quotes.quote_sale(terms(), YES, 1), ProgramError.InsufficientShares),
        (
            quotes.quote_sale(terms(FRESH.moved(YES, SOL)), YES, SOL + 1),
            ProgramError.InsufficientShares,
        ),
        (quotes.quote_sale(terms(FRESH.moved(YES, SOL)), YES, 15_000), ProgramError.TradeTooSmall),
        (
            quotes.quote_sale(terms(FRESH.moved(YES, SOL)), YES, SOL, SOL),
            ProgramError.SlippageExceeded,
        ),
        (
            quotes.quote_proceeds(terms(FRESH.moved(YES, SOL)), YES, SOL),
            ProgramError.InsufficientShares,
        ),
    ],
)
def test_refused_without_figures(quote: quotes.Quote, error: ProgramError | None) -> None:
    assert quote.figures is None
    assert error_of(quote) is error


def test_sale_beyond_the_counted_liquidity_is_refused() -> None:
    pool = FRESH.moved(YES, 10 * SOL)
    sale = figures(quotes.quote_sale(terms(pool), YES, 10 * SOL))
    needed = sale.total + sale.fees.protocol
    enough = quotes.quote_sale(terms(pool, current_liquidity=needed), YES, 10 * SOL)
    assert error_of(enough) is None
    short = quotes.quote_sale(terms(pool, current_liquidity=needed - 1), YES, 10 * SOL)
    assert error_of(short) is ProgramError.InsufficientLiquidity


@given(pools, st.booleans(), st.integers(1, 10**16))
def test_budget_for_shares_is_the_smallest(pool: Pool, outcome: bool, shares: int) -> None:
    try:
        budget = quotes.budget_for(pool, outcome, shares, FEES)
    except (LmsrError, quotes.OutOfReach):
        reject()
    fill = lmsr.buy(pool, outcome, budget, FEES)
    assert fill.shares >= shares
    assert fill.total <= budget
    try:
        less = lmsr.buy(pool, outcome, budget - 1, FEES).shares
    except LmsrError:
        return
    assert less < shares


@given(pools, st.booleans(), st.integers(lmsr.MIN_TRADE, 10**15))
def test_budget_buys_what_fits_and_no_step_more(pool: Pool, outcome: bool, budget: int) -> None:
    """The shares cost no more than the budget; a thousandth of a share more costs more.

    The second holds but for the rounding of exp and ln, where a larger number can cost a few
    steps of b / 10^9 lamports less. Beyond the peak of exp the cost of the lower side falls.
    """
    assume(abs(pool.shares_yes - pool.shares_no) <= 3 * pool.b_parameter)
    quote = quotes.quote_budget(terms(pool), outcome, budget)
    assume(quote.figures is not None)
    bought = figures(quote)
    assert bought.total == bought.amount + bought.fees.total <= budget
    base = lmsr.cost(pool.moved(outcome, bought.shares)) - lmsr.cost(pool)
    assert base == bought.amount
    most = 20 * pool.b_parameter - 2 * lmsr.SHARE_STEP
    assume(bought.shares < most)
    try:
        more = lmsr.cost(pool.moved(outcome, bought.shares + lmsr.SHARE_STEP)) - lmsr.cost(pool)
    except LmsrError:
        return
    rounding = 10 * (pool.b_parameter // PRECISION + 1)
    assert more >= budget * 10_000 // 11_000 - rounding


@given(pools, st.booleans(), st.integers(0, 10**15))
def test_sale_for_proceeds_is_the_smallest(pool: Pool, outcome: bool, proceeds: int) -> None:
    try:
        shares = quotes.shares_for_proceeds(pool, outcome, proceeds, FEES)
    except LmsrError:
        reject()
    assert lmsr.sell(pool, outcome, shares, proceeds, FEES).net >= proceeds
    if shares > 1:
        with pytest.raises(LmsrError):
            lmsr.sell(pool, outcome, shares - 1, proceeds, FEES)


@given(pools, st.booleans(), st.integers(lmsr.MIN_TRADE, 10**13))
def test_parts_add_up(pool: Pool, outcome: bool, budget: int) -> None:
    quote = quotes.quote_budget(terms(pool), outcome, budget)
    assume(quote.figures is not None)
    bought = figures(quote)
    assert bought.total - bought.amount == bought.amount * 1000 // 10_000
    after = lmsr.price_yes(pool.moved(outcome, bought.shares))
    assert bought.price_after == (after if outcome else PRECISION - after)
