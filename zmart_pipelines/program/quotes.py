"""Quotes: what a trade would cost or bring if it were executed now, or why it would be refused.

Every figure is the program's own integer arithmetic (``lmsr``), so that a quote and the trade
that follows it at the same state agree in every unit. Shares and prices have 9 decimals, money
is in lamports. Pure.

The program's buy_shares takes a budget, not a number of shares. Its search ends up to a
thousandth of a share below what the budget pays for; "the budget of a number of shares" is
therefore the smallest budget with which the program gives at least that number.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import lru_cache
from typing import Final, Literal, TypeAlias

import msgspec

from zmart_pipelines.program import lmsr
from zmart_pipelines.program.accounts import GlobalConfig, MarketAccount, MarketState
from zmart_pipelines.program.errors import ProgramError
from zmart_pipelines.program.integer_search import first
from zmart_pipelines.program.lifecycle import BASIS_POINTS
from zmart_pipelines.program.lmsr import PRECISION, Fees, FeeSplit, LmsrError, Pool

Action: TypeAlias = Literal["buy", "sell"]

# A larger budget overflows the program's product with 10000.
MAX_BUDGET: Final = lmsr.U64_MAX // BASIS_POINTS


class OutOfReach(ArithmeticError):
    """No budget buys as many shares in one trade: the program's search ends before them."""


class Terms(msgspec.Struct, frozen=True, gc=False):
    """What the program reads before a trade: of the market and of the configuration.

    ``current_liquidity`` is the market's counted liquidity in lamports.
    """

    state: MarketState
    pool: Pool
    current_liquidity: int
    fees: Fees
    is_paused: bool

    @classmethod
    def of(cls, market: MarketAccount, config: GlobalConfig) -> Terms:
        """Return the terms in a market's account and the configuration's."""
        return cls(
            market.state,
            Pool.of(market),
            market.current_liquidity,
            Fees.of(config),
            config.is_paused,
        )


class Cause(Enum):
    """What stands against a trade."""

    PROGRAM = "The program raises an error of its own."
    TOO_SMALL = "The program gives no shares for so little."
    OUT_OF_REACH = "No budget buys as many shares in one trade."
    SALES_FAIL = (
        "The deployed program cannot pay for sold shares: it asks the System program to move "
        "lamports out of the market's account, which the runtime does not permit. Every sale fails."
    )


class Refusal(msgspec.Struct, frozen=True):
    """Why a trade would be refused, or should not be sent.

    Attributes:
        error: The error that the program raises; None where it raises none of its own.
    """

    cause: Cause
    error: ProgramError | None = None

    @property
    def message(self) -> str:
        """The reason, for people."""
        if self.error is None:
            return self.cause.value
        if self.cause is Cause.PROGRAM:
            return self.error.message
        return f"{self.cause.value} ({self.error.message})"


class Figures(msgspec.Struct, frozen=True):
    """The result of a trade. Prices are those of the traded side.

    Attributes:
        budget: The argument of buy_shares that gives this result; None for a sale.
        amount: Lamports before fees.
        total: What the buyer pays (``amount`` and fees) or the seller gets (``amount`` less fees).
        average_price: ``total`` per share, rounded down.
        impact_bps: The change from ``price_before`` to ``price_after`` in basis points of
            ``price_before``, rounded down; negative where the price falls.
        slippage_bps: The distance of the average price without fees from ``price_before``, in
            basis points of it, rounded down; positive where it is worse for the trader.
    """

    shares: int
    budget: int | None
    amount: int
    fees: FeeSplit
    total: int
    price_before: int
    price_after: int
    average_price: int
    impact_bps: int
    slippage_bps: int


class Quote(msgspec.Struct, frozen=True):
    """A quote.

    Attributes:
        figures: None where the arithmetic has no result.
        refusal: None where the program would accept the trade. A market that is not open, or
            a paused protocol, refuses although there are figures.
        smallest: The smallest workable trade on this side: the budget in lamports from which
            the program gives any shares, or the number of shares from which it buys them back.
            None where there is none.
    """

    figures: Figures | None
    refusal: Refusal | None
    smallest: int | None


def price_of(pool: Pool, outcome: bool) -> int:
    """Return the price of YES (True) or NO."""
    return lmsr.price_yes(pool) if outcome else lmsr.price_no(pool)


def refusal_of(error: ProgramError) -> Refusal:
    """Return the refusal with one of the program's errors."""
    return Refusal(Cause.PROGRAM, error)


def quote_budget(terms: Terms, outcome: bool, budget: int) -> Quote:
    """Quote a buy of YES (True) or NO for at most ``budget`` lamports, fees included.

    A budget below the smallest is refused in each case. The program would refuse it too, or
    would take it and give nothing.
    """
    smallest = smallest_budget(terms.pool, outcome, terms.fees)
    quote = _quote(terms, lambda: _buy(terms, outcome, budget), smallest)
    if standing_refusal(terms) is not None:
        return quote
    if quote.figures is not None:
        nothing = quote.figures.shares == 0
    else:
        nothing = smallest is not None and budget < smallest
    if not nothing:
        return quote
    error = None if quote.refusal is None else quote.refusal.error
    return msgspec.structs.replace(quote, refusal=Refusal(Cause.TOO_SMALL, error))


def quote_shares(terms: Terms, outcome: bool, shares: int) -> Quote:
    """Quote the cheapest buy that gives at least ``shares`` (more than 0)."""

    def buy() -> Figures:
        return _buy(terms, outcome, budget_for(terms.pool, outcome, shares, terms.fees))

    return _quote(terms, buy, smallest_budget(terms.pool, outcome, terms.fees))


def quote_sale(terms: Terms, outcome: bool, shares: int, min_proceeds: int = 0) -> Quote:
    """Quote a sale of ``shares`` for at least ``min_proceeds`` lamports after fees."""
    return _quote_sale(terms, outcome, lambda: _sell(terms, outcome, shares, min_proceeds))


def quote_proceeds(terms: Terms, outcome: bool, proceeds: int) -> Quote:
    """Quote the smallest sale that brings at least ``proceeds`` lamports after fees."""
    pool, fees = terms.pool, terms.fees
    return _quote_sale(
        terms,
        outcome,
        lambda: _sell(terms, outcome, shares_for_proceeds(pool, outcome, proceeds, fees), 0),
    )


def _quote_sale(terms: Terms, outcome: bool, sell: Callable[[], Figures]) -> Quote:
    quote = _quote(terms, sell, smallest_sale(terms.pool, outcome, terms.fees))
    if quote.refusal is None:
        return msgspec.structs.replace(quote, refusal=Refusal(Cause.SALES_FAIL))
    return quote


def _quote(terms: Terms, trade: Callable[[], Figures], smallest: int | None) -> Quote:
    refusal = standing_refusal(terms)
    try:
        figures = trade()
    except LmsrError as error:
        return Quote(None, refusal or refusal_of(error.code), smallest)
    except OutOfReach:
        return Quote(None, refusal or Refusal(Cause.OUT_OF_REACH), smallest)
    if refusal is None and figures.budget is None:
        refusal = _reserve_refusal(terms, figures)
    return Quote(figures, refusal, smallest)


def standing_refusal(terms: Terms) -> Refusal | None:
    """Return why no trade is possible now, in the program's order of checks."""
    if terms.state is not MarketState.ACTIVE:
        return refusal_of(ProgramError.InvalidMarketState)
    return refusal_of(ProgramError.ProtocolPaused) if terms.is_paused else None


def _reserve_refusal(terms: Terms, sale: Figures) -> Refusal | None:
    if terms.current_liquidity < sale.total + sale.fees.protocol:
        return refusal_of(ProgramError.InsufficientLiquidity)
    return None


def _buy(terms: Terms, outcome: bool, budget: int) -> Figures:
    fill = lmsr.buy(terms.pool, outcome, budget, terms.fees)
    fees = FeeSplit(fill.protocol_fee, fill.resolver_fee, fill.lp_fee)
    return _figures(terms.pool, outcome, fill.shares, budget, fill.base, fees)


def _sell(terms: Terms, outcome: bool, shares: int, min_proceeds: int) -> Figures:
    if shares > sellable(terms.pool, outcome):
        raise LmsrError(ProgramError.InsufficientShares)
    sale = lmsr.sell(terms.pool, outcome, shares, min_proceeds, terms.fees)
    fees = FeeSplit(sale.protocol_fee, sale.resolver_fee, sale.lp_fee)
    return _figures(terms.pool, outcome, shares, None, sale.gross, fees)


def _figures(
    pool: Pool, outcome: bool, shares: int, budget: int | None, amount: int, fees: FeeSplit
) -> Figures:
    buys = budget is not None
    total = amount + fees.total if buys else amount - fees.total
    before = price_of(pool, outcome)
    after = price_of(pool.moved(outcome, shares if buys else -shares), outcome)
    plain = amount * PRECISION // shares if shares else before
    worse = plain - before if buys else before - plain
    return Figures(
        shares=shares,
        budget=budget,
        amount=amount,
        fees=fees,
        total=total,
        price_before=before,
        price_after=after,
        average_price=total * PRECISION // shares if shares else 0,
        impact_bps=(after - before) * BASIS_POINTS // before,
        slippage_bps=worse * BASIS_POINTS // before,
    )


def sellable(pool: Pool, outcome: bool) -> int:
    """Return the shares of a side that wallets hold; no wallet can sell more."""
    side = pool.shares_yes if outcome else pool.shares_no
    return max(0, side - pool.b_parameter // 1000)


@lru_cache(maxsize=1024)
def smallest_budget(pool: Pool, outcome: bool, fees: Fees) -> int | None:
    """Return the smallest budget with which the program gives any shares; None without one.

    Below it a buy is refused (``UnderflowError`` in a balanced pool), or succeeds with nothing.
    """
    try:
        return budget_for(pool, outcome, 1, fees)
    except (LmsrError, OutOfReach):
        return None


def smallest_sale(pool: Pool, outcome: bool, fees: Fees) -> int | None:
    """Return the smallest number of shares that the program would buy back; None without one."""
    try:
        return shares_for_proceeds(pool, outcome, 0, fees)
    except LmsrError:
        return None


def budget_for(pool: Pool, outcome: bool, shares: int, fees: Fees) -> int:
    """Return a budget with which the program gives at least ``shares``; one lamport less does not.

    Raises:
        LmsrError: No budget does: the program's error at the largest that was tried.
        OutOfReach: The largest that was tried buys fewer.
    """

    def enough(budget: int) -> bool:
        try:
            return lmsr.buy(pool, outcome, budget, fees).shares >= shares
        except LmsrError:
            return False

    guess = _likely_budget(pool, outcome, shares)
    if enough(guess) and not enough(guess - 1):
        return guess
    upper = guess
    while not enough(upper):
        if 2 * upper > MAX_BUDGET:
            lmsr.buy(pool, outcome, upper, fees)
            raise OutOfReach
        upper *= 2
    return first(enough, lmsr.MIN_TRADE, upper)


def _likely_budget(pool: Pool, outcome: bool, shares: int) -> int:
    """Return the budget at which the program's search stops at ``shares``, if costs only rise.

    The search halves the same interval whatever the budget is. Its last probe below the shares
    decides: the budget must pay for more than that probe.
    """
    low, high, probe = 0, pool.b_parameter * 20, 0
    for _ in range(lmsr.SEARCH_ROUNDS):
        if high - low <= lmsr.SHARE_STEP:
            break
        middle = low + (high - low) // 2
        if middle + 1 >= shares:
            probe = high = middle
        else:
            low = middle + 1
    start = lmsr.cost(pool)
    base = lmsr.cost(pool.moved(outcome, probe)) - start + (probe < shares)
    scale = BASIS_POINTS + lmsr.ASSUMED_FEE_BPS
    return max(lmsr.MIN_TRADE, -(-base * scale // BASIS_POINTS))


def shares_for_proceeds(pool: Pool, outcome: bool, proceeds: int, fees: Fees) -> int:
    """Return shares whose sale brings at least ``proceeds`` after fees; one unit less does not.

    Raises:
        LmsrError: All shares that wallets hold do not; InsufficientShares, or the program's
            error when they are sold.
    """

    def enough(shares: int) -> bool:
        try:
            lmsr.sell(pool, outcome, shares, proceeds, fees)
        except LmsrError:
            return False
        return True

    most = sellable(pool, outcome)
    lmsr.cost(pool)
    if not most or not enough(most):
        raise LmsrError(ProgramError.InsufficientShares)
    return first(enough, 1, most)
