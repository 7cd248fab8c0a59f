"""The program's market maker, in its own integers.

Cost, prices and trades exactly as the program computes them: every multiplication and
division floors, results must fit 64 bits, ``exp`` and ``ln`` are the program's
approximations. They are not the real functions: ``exp`` peaks at 3.46 and falls again,
``ln`` jumps just below powers of two. Quote with these, never with floats.

``b``, shares, prices and exponents have 9 decimals (``PRECISION``); money is in lamports.
A number the program would refuse raises LmsrError with the program's own error.
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
# What a buyer's limit is divided by before the search, whatever the fees are.
ASSUMED_FEE_BPS: Final = 1_000
U64_MAX: Final = 2**64 - 1


class LmsrError(ArithmeticError):
    """The program would refuse this with ``code``."""

    def __init__(self, code: ProgramError) -> None:
        super().__init__(f"{code.name}: {code.message}")
        self.code = code


class Pool(msgspec.Struct, frozen=True, gc=False):
    """What prices depend on. Shares include the b / 1000 of each side that nobody owns."""

    b_parameter: int
    shares_yes: int
    shares_no: int

    @classmethod
    def of(cls, market: MarketAccount) -> Pool:
        """The pool of a market."""
        return cls(market.b_parameter, market.shares_yes, market.shares_no)

    @classmethod
    def fresh(cls, b_parameter: int) -> Pool:
        """The pool of a market nobody has traded in."""
        return cls(b_parameter, b_parameter // 1000, b_parameter // 1000)

    def moved(self, outcome: bool, shares: int) -> Pool:
        """The pool with shares added to one side (True: YES), or taken where negative."""
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
        """The fees of a configuration."""
        return cls(
            config.protocol_fee_bps,
            config.resolver_reward_bps,
            config.liquidity_provider_fee_bps,
        )

    @property
    def total_bps(self) -> int:
        """All three together."""
        return self.protocol_bps + self.resolver_bps + self.lp_bps


class FeeSplit(msgspec.Struct, frozen=True, gc=False):
    """The fee of one trade and who gets it, in lamports."""

    protocol: int
    resolver: int
    lp: int

    @property
    def total(self) -> int:
        """All three together."""
        return self.protocol + self.resolver + self.lp


class Fill(msgspec.Struct, frozen=True, gc=False):
    """What a buy brings and costs; ``total`` is the base and all fees, in lamports."""

    shares: int
    base: int
    protocol_fee: int
    resolver_fee: int
    lp_fee: int
    total: int


class Sale(msgspec.Struct, frozen=True, gc=False):
    """What a sale brings; ``net`` is the gross less all fees, in lamports."""

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
    """The program's e^x for 0 <= x <= 20: a quotient of two quadratics."""
    if x > MAX_EXPONENT:
        raise LmsrError(ProgramError.ExponentTooLarge)
    square = _multiply(x, x) // 12
    return _divide(PRECISION + x // 2 + square, PRECISION + square - x // 2)


def exp_negative(x: int) -> int:
    """The program's e^-x for 0 <= x <= 20."""
    return _divide(PRECISION, exp(x))


def ln(x: int) -> int:
    """The program's natural logarithm. Below 1 it has the wrong sign, as on chain."""
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
    """The cost function C(yes, no) in lamports."""
    _check_b(pool)
    yes = _divide(pool.shares_yes, pool.b_parameter)
    no = _divide(pool.shares_no, pool.b_parameter)
    high, low = (yes, no) if yes >= no else (no, yes)
    tail = ln(PRECISION + exp_negative(high - low))
    return _multiply(pool.b_parameter, _u64(high + tail))


def price_yes(pool: Pool) -> int:
    """The price of YES between 0 and 1. It never leaves 0.067 to 0.933, and turns back
    where one side leads by more than 3.46 b."""
    _check_b(pool)
    lead = abs(pool.shares_yes - pool.shares_no)
    e = exp(_divide(lead, pool.b_parameter))
    if pool.shares_yes >= pool.shares_no:
        return _divide(e, e + PRECISION)
    return _divide(PRECISION, PRECISION + e)


def price_no(pool: Pool) -> int:
    """The price of NO; both prices together are exactly 1."""
    return PRECISION - price_yes(pool)


def split_fees(amount: int, fees: Fees) -> FeeSplit:
    """The fee on an amount and its parts; what rounding leaves goes to the LP part."""
    total_bps = fees.total_bps
    if total_bps == 0:
        raise LmsrError(ProgramError.DivisionByZero)
    total = _u64(amount * total_bps) // BASIS_POINTS
    protocol = _u64(total * fees.protocol_bps) // total_bps
    resolver = _u64(total * fees.resolver_bps) // total_bps
    return FeeSplit(protocol, resolver, total - protocol - resolver)


def base_from_total(total: int, fee_bps: int) -> int | None:
    """The base cost whose base plus fee is ``total``, or None where no base has that total.

    The inverse of ``base + base * fee_bps // 10000``, which grows strictly with the base.
    """
    scale = BASIS_POINTS + fee_bps
    base = -(-total * BASIS_POINTS // scale)
    return base if base * scale // BASIS_POINTS == total else None


def shares_for(pool: Pool, outcome: bool, max_base: int) -> tuple[int, int]:
    """The shares the program's search finds for at most ``max_base``, and their base cost.

    A bisection to a thousandth of a share from below, so a buyer gets slightly fewer than
    the money would buy.
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
    """What buying YES (True) or NO for at most ``target_cost`` lamports does.

    Raises TradeTooSmall, SlippageExceeded (fees above 10 % in sum), UnderflowError (too
    little money for a balanced pool), and what the arithmetic raises. Shares may be 0.
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
    """What selling shares for at least ``min_proceeds`` lamports after fees would bring.

    Only the arithmetic: the deployed program refuses every sale when it pays out. Raises
    InsufficientShares, TradeTooSmall, SlippageExceeded, and what the arithmetic raises.
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
    """The most a market maker with this b can lose, b ln 2, in lamports."""
    return b_parameter * LN2 // PRECISION


def loss_is_bounded(b_parameter: int, initial_liquidity: int, current_liquidity: int) -> bool:
    """The check of finalize_market: what the pool lost is at most ``max_loss``."""
    return initial_liquidity - current_liquidity <= max_loss(b_parameter)


def b_for_loss(loss: int) -> int:
    """The b whose ``max_loss`` is about ``loss`` lamports, at least the smallest allowed."""
    return max(loss * PRECISION // LN2, MIN_B)
