"""The program's LMSR market maker in its own integer arithmetic.

Cost, prices and trades exactly as the program computes them: every multiplication and division
floors, results must fit 64 bits, ``exp`` and ``ln`` are the program's approximations. They
differ from the real functions: ``exp`` peaks at 3.46 and falls again, ``ln`` jumps just below
powers of two. Quote with these, never with floats.

``b``, shares, prices and exponents have 9 decimals (``PRECISION``); money is in lamports. A
number that the program would refuse raises LmsrError with the program's own error.
"""

from __future__ import annotations

from typing import Final

import msgspec

from zmart_pipelines.program.accounts import GlobalConfig, MarketAccount
from zmart_pipelines.program.errors import ProgramError
from zmart_pipelines.program.lifecycle import BASIS_POINTS

PRECISION: Final = 1_000_000_000
LN2: Final = 693_147_180
MAX_EXPONENT: Final = 20 * PRECISION
MIN_B: Final = 100 * PRECISION
MIN_TRADE: Final = 10_000
SHARE_STEP: Final = 1_000_000
SEARCH_ROUNDS: Final = 50
# The fee by which a buyer's limit is reduced before the search, whatever the fees are.
ASSUMED_FEE_BPS: Final = 1_000
U64_MAX: Final = 2**64 - 1


class LmsrError(ArithmeticError):
    """The program would refuse the input with ``code``."""

    def __init__(self, code: ProgramError) -> None:
        super().__init__(f"{code.name}: {code.message}")
        self.code = code


class Pool(msgspec.Struct, frozen=True, gc=False):
    """The values that prices depend on. Shares include the unowned b / 1000 of each side."""

    b_parameter: int
    shares_yes: int
    shares_no: int

    @classmethod
    def of(cls, market: MarketAccount) -> Pool:
        """Return the pool of a market."""
        return cls(market.b_parameter, market.shares_yes, market.shares_no)

    @classmethod
    def fresh(cls, b_parameter: int) -> Pool:
        """Return the pool of a market without trades."""
        return cls(b_parameter, b_parameter // 1000, b_parameter // 1000)

    def moved(self, outcome: bool, shares: int) -> Pool:
        """Return the pool with ``shares`` added to one side (True: YES), negative to remove."""
        if outcome:
            return Pool(self.b_parameter, self.shares_yes + shares, self.shares_no)
        return Pool(self.b_parameter, self.shares_yes, self.shares_no + shares)


class Fees(msgspec.Struct, frozen=True, gc=False):
    """The three parts of the fee in basis points."""

    protocol_bps: int
    resolver_bps: int
    lp_bps: int

    @classmethod
    def of(cls, config: GlobalConfig) -> Fees:
        """Return the fees of a configuration."""
        return cls(
            config.protocol_fee_bps,
            config.resolver_reward_bps,
            config.liquidity_provider_fee_bps,
        )

    @property
    def total_bps(self) -> int:
        """The sum of the three."""
        return self.protocol_bps + self.resolver_bps + self.lp_bps


# Those that the program initializes its configuration with.
DEFAULT_FEES: Final = Fees(300, 200, 500)


class FeeSplit(msgspec.Struct, frozen=True, gc=False):
    """The fee of one trade and its recipients, in lamports."""

    protocol: int
    resolver: int
    lp: int

    @property
    def total(self) -> int:
        """The sum of the three."""
        return self.protocol + self.resolver + self.lp


NO_FEE: Final = FeeSplit(0, 0, 0)


class Fill(msgspec.Struct, frozen=True, gc=False):
    """The result of a buy; ``total`` is the base and all fees, in lamports."""

    shares: int
    base: int
    protocol_fee: int
    resolver_fee: int
    lp_fee: int
    total: int


class Sale(msgspec.Struct, frozen=True, gc=False):
    """The result of a sale; ``net`` is the gross less all fees, in lamports."""

    gross: int
    protocol_fee: int
    resolver_fee: int
    lp_fee: int
    net: int


def _u64(value: int) -> int:
    if value > U64_MAX:
        raise LmsrError(ProgramError.OverflowError)
    return value


def _multiply(a: int, b: int) -> int:
    return _u64(a * b // PRECISION)


def _divide(a: int, b: int) -> int:
    if b == 0:
        raise LmsrError(ProgramError.DivisionByZero)
    return _u64(a * PRECISION // b)


def _subtract(a: int, b: int) -> int:
    if b > a:
        raise LmsrError(ProgramError.UnderflowError)
    return a - b


def exp(x: int) -> int:
    """Return the program's e^x for 0 <= x <= 20: a quotient of two quadratics."""
    if x > MAX_EXPONENT:
        raise LmsrError(ProgramError.ExponentTooLarge)
    square = _multiply(x, x) // 12
    return _divide(PRECISION + x // 2 + square, PRECISION + square - x // 2)


def exp_negative(x: int) -> int:
    """Return the program's e^-x for 0 <= x <= 20."""
    return _divide(PRECISION, exp(x))


def ln(x: int) -> int:
    """Return the program's natural logarithm. Below 1 it has the wrong sign, as on chain."""
    if x == 0:
        raise LmsrError(ProgramError.InvalidInput)
    if x == PRECISION:
        return 0
    twos = 0
    while x >= 2 * PRECISION:
        x //= 2
        twos += 1
    while x < PRECISION // 2:
        x *= 2
        twos -= 1
    if x < PRECISION:
        x = _divide(PRECISION, x)
    y = _divide(x - PRECISION, x + PRECISION)
    square = _multiply(y, y)
    cube = _multiply(square, y)
    fifth = _multiply(cube, square)
    total = 2 * (y + cube // 3 + fifth // 5) + twos * LN2
    if total < 0:
        raise LmsrError(ProgramError.UnderflowError)
    return total


def _check_b(pool: Pool) -> None:
    if pool.b_parameter < MIN_B:
        raise LmsrError(ProgramError.InvalidBParameter)


def cost(pool: Pool) -> int:
    """Return the cost function C(yes, no) in lamports."""
    _check_b(pool)
    yes = _divide(pool.shares_yes, pool.b_parameter)
    no = _divide(pool.shares_no, pool.b_parameter)
    high, low = (yes, no) if yes >= no else (no, yes)
    tail = ln(PRECISION + exp_negative(high - low))
    return _multiply(pool.b_parameter, _u64(high + tail))


def price_yes(pool: Pool) -> int:
    """Return the price of YES between 0 and 1 (9 decimals).

    It stays between 0.067 and 0.933, and turns back where one side leads by more than 3.46 b.
    """
    _check_b(pool)
    lead = abs(pool.shares_yes - pool.shares_no)
    e = exp(_divide(lead, pool.b_parameter))
    if pool.shares_yes >= pool.shares_no:
        return _divide(e, e + PRECISION)
    return _divide(PRECISION, PRECISION + e)


def price_no(pool: Pool) -> int:
    """Return the price of NO (9 decimals); the two prices add up to exactly 1."""
    return PRECISION - price_yes(pool)


def split_fees(amount: int, fees: Fees) -> FeeSplit:
    """Return the fee on an amount and its parts; the rounding remainder goes to the LP part."""
    total_bps = fees.total_bps
    if total_bps == 0:
        raise LmsrError(ProgramError.DivisionByZero)
    total = _u64(amount * total_bps) // BASIS_POINTS
    protocol = _u64(total * fees.protocol_bps) // total_bps
    resolver = _u64(total * fees.resolver_bps) // total_bps
    return FeeSplit(protocol, resolver, total - protocol - resolver)


def base_from_total(total: int, fee_bps: int) -> int | None:
    """Return the base cost whose base plus fee is ``total``, or None where there is none.

    This is the inverse of ``base + base * fee_bps // 10000``, which grows strictly with the base.
    """
    scale = BASIS_POINTS + fee_bps
    base = -(-total * BASIS_POINTS // scale)
    return base if base * scale // BASIS_POINTS == total else None


def split_total(total: int, fees: Fees) -> tuple[int, FeeSplit, bool]:
    """Return base cost and fees behind a buy's total, and whether they add up to it exactly.

    Where no base has this total, because the fees are not those that were in force, the nearest
    base below is assumed.

    Raises:
        LmsrError: The program would refuse these fees.
    """
    if fees.total_bps == 0:
        return total, NO_FEE, True
    exact = base_from_total(total, fees.total_bps)
    base = total * BASIS_POINTS // (BASIS_POINTS + fees.total_bps) if exact is None else exact
    return base, split_fees(base, fees), exact is not None


def shares_for(pool: Pool, outcome: bool, max_base: int) -> tuple[int, int]:
    """Return the shares that the program's search finds for ``max_base``, and their base cost.

    The search is a bisection to a thousandth of a share from below, so a buyer gets slightly
    fewer shares than the money would buy.
    """
    start = cost(pool)
    low, high = 0, _u64(pool.b_parameter * 20)

    def added(shares: int) -> int:
        moved = pool.moved(outcome, shares)
        _u64(moved.shares_yes if outcome else moved.shares_no)
        return _subtract(cost(moved), start)

    for _ in range(SEARCH_ROUNDS):
        if high - low <= SHARE_STEP:
            break
        middle = low + (high - low) // 2
        base = added(middle)
        if base == max_base:
            return middle, base
        if base < max_base:
            low = middle + 1
        else:
            high = middle
    return low, added(low)


def buy(pool: Pool, outcome: bool, target_cost: int, fees: Fees) -> Fill:
    """Return the result of buying YES (True) or NO for at most ``target_cost`` lamports.

    The shares may be 0.

    Raises:
        LmsrError: TradeTooSmall, SlippageExceeded (fees above 10 % in total), UnderflowError
            (too little money for a balanced pool), or an error of the arithmetic.
    """
    if target_cost < MIN_TRADE:
        raise LmsrError(ProgramError.TradeTooSmall)
    max_base = _u64(target_cost * BASIS_POINTS) // (BASIS_POINTS + ASSUMED_FEE_BPS)
    shares, base = shares_for(pool, outcome, max_base)
    split = split_fees(base, fees)
    total = _u64(base + split.total)
    if total > target_cost:
        raise LmsrError(ProgramError.SlippageExceeded)
    return Fill(shares, base, split.protocol, split.resolver, split.lp, total)


def sell(pool: Pool, outcome: bool, shares: int, min_proceeds: int, fees: Fees) -> Sale:
    """Return the result of selling shares for at least ``min_proceeds`` lamports after fees.

    This is only the arithmetic: the deployed program refuses every sale when it pays out.

    Raises:
        LmsrError: InsufficientShares, TradeTooSmall, SlippageExceeded, or an error of the
            arithmetic.
    """
    if shares > (pool.shares_yes if outcome else pool.shares_no):
        raise LmsrError(ProgramError.InsufficientShares)
    gross = _subtract(cost(pool), cost(pool.moved(outcome, -shares)))
    if gross < MIN_TRADE:
        raise LmsrError(ProgramError.TradeTooSmall)
    split = split_fees(gross, fees)
    net = _subtract(gross, split.total)
    if net < min_proceeds:
        raise LmsrError(ProgramError.SlippageExceeded)
    return Sale(gross, split.protocol, split.resolver, split.lp, net)


def max_loss(b_parameter: int) -> int:
    """Return the most that a market maker with this b can lose, b ln 2, in lamports."""
    return b_parameter * LN2 // PRECISION


def loss_is_bounded(b_parameter: int, initial_liquidity: int, current_liquidity: int) -> bool:
    """Return whether the pool lost at most ``max_loss``, as finalize_market checks."""
    return initial_liquidity - current_liquidity <= max_loss(b_parameter)


def b_for_loss(loss: int) -> int:
    """Return the b whose ``max_loss`` is about ``loss`` lamports, or the smallest allowed."""
    return max(loss * PRECISION // LN2, MIN_B)
