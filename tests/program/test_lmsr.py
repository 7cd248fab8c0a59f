"""The market maker against figures of the deployed program, and what must always hold."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from zmart_pipelines.program.errors import ProgramError
from zmart_pipelines.program.lmsr import (
    MAX_EXPONENT,
    MIN_B,
    MIN_TRADE,
    PRECISION,
    U64_MAX,
    Fees,
    FeeSplit,
    Fill,
    LmsrError,
    Pool,
    Sale,
    b_for_loss,
    base_from_total,
    buy,
    cost,
    exp,
    exp_negative,
    ln,
    loss_is_bounded,
    max_loss,
    price_no,
    price_yes,
    sell,
    split_fees,
)

SOL = PRECISION
FEES = Fees(300, 200, 500)
YES, NO = True, False


def refusal(error: pytest.ExceptionInfo[LmsrError]) -> ProgramError:
    return error.value.code


@pytest.mark.parametrize(
    ("x", "value"),
    [
        (0, 1000000000),
        (100_000_000, 1105170902),
        (500_000_000, 1648648648),
        (1_000_000_000, 2714285715),
        (1_500_000_000, 4428571428),
        (2_000_000_000, 7000000006),
        (2_500_000_000, 10230769242),
        (3_000_000_000, 13000000000),
        (3_464_100_000, 13928203254),
        (4_000_000_000, 13000000012),
        (5_000_000_000, 9571428576),
        (6_000_000_000, 7000000000),
        (8_000_000_000, 4428571429),
        (10_000_000_000, 3307692307),
        (12_000_000_000, 2714285714),
        (15_000_000_000, 2224489795),
        (20_000_000_000, 1821917808),
    ],
)
def test_exp(x: int, value: int) -> None:
    assert exp(x) == value
    assert exp_negative(x) == PRECISION * PRECISION // value


def test_exp_ends_at_20() -> None:
    with pytest.raises(LmsrError) as error:
        exp(MAX_EXPONENT + 1)
    assert refusal(error) is ProgramError.ExponentTooLarge


@pytest.mark.parametrize(
    ("x", "value"),
    [
        (1_000_000_000, 0),
        (1_000_001_000, 998),
        (1_100_000_000, 95310176),
        (1_500_000_000, 405461332),
        (1_999_999_999, 693004112),
        (2_000_000_000, 693147180),
        (2_718_281_828, 999999444),
        (3_000_000_000, 1098608512),
        (4_000_000_000, 1386294360),
        (10_000_000_000, 2302585030),
        (500_000_000, 693004112),
    ],
)
def test_ln(x: int, value: int) -> None:
    assert ln(x) == value


def test_ln_has_no_value_at_0() -> None:
    with pytest.raises(LmsrError) as error:
        ln(0)
    assert refusal(error) is ProgramError.InvalidInput


@pytest.mark.parametrize(
    ("b", "yes", "no", "lamports", "price"),
    [
        (100, 100000000, 100000000, 69414718000, 500000000),
        (100, 1935823062, 100000000, 70323743800, 504589428),
        (100, 1935823062, 1016481020, 70778237200, 502298338),
        (1000, 0, 0, 693147180000, 500000000),
        (1000, 100 * SOL, 0, 744308700000, 524979183),
        (1000, 0, 100 * SOL, 744308700000, 475020816),
        (1000, 500 * SOL, 300 * SOL, 1098085718000, 549833887),
        (1000, 10 * SOL, 10 * SOL, 703147180000, 500000000),
        (1000, 15 * SOL, 10 * SOL, 705510628000, 501249997),
        (1000, 1000 * SOL, 500 * SOL, 1474082588000, 622448979),
        (100, 100 * SOL, 0, 131365691400, 730769230),
        (100, 200 * SOL, 0, 213353138800, 875000000),
        (100, 346_410_000_000, 0, 353343646000, 933012701),
        (100, 400 * SOL, 0, 407410796800, 928571428),
        (100, 1000 * SOL, 0, 1026415137800, 767857142),
    ],
)
def test_cost_and_price(b: int, yes: int, no: int, lamports: int, price: int) -> None:
    pool = Pool(b * SOL, yes, no)
    assert cost(pool) == lamports
    assert price_yes(pool) == price
    assert price_no(pool) == PRECISION - price


# b in SOL, shares, side, target; shares, base, protocol, resolver, lp, total, price after.
BUYS = [
    (100, 100000000, 100000000, YES, 1000000000, 1835823062, 909025800, 27270774, 18180516, 45451290, 999928380, 504589428),  # noqa: E501
    (100, 1935823062, 100000000, NO, 500000000, 916481020, 454493400, 13634802, 9089868, 22724670, 499942740, 502298338),  # noqa: E501
    (100, 100000000, 100000000, YES, 100000000, 209808351, 90795500, 2723865, 1815910, 4539775, 99875050, 500524520),  # noqa: E501
    (100, 100000000, 100000000, NO, 5000000, 37193300, 4317100, 129513, 86342, 215855, 4748810, 499907017),  # noqa: E501
    (100, 100000000, 100000000, YES, 10000000000, 17434120181, 9090452500, 272713575, 181809050, 454522625, 9999497750, 543475181),  # noqa: E501
    (100, 100000000, 100000000, YES, 100000000000, 137536048892, 90908932600, 2727267978, 1818178652, 4545446630, 99999825860, 797019535),  # noqa: E501
    (1000, 1000000000, 1000000000, YES, 1000000000, 2099871638, 908851000, 27265530, 18177020, 45442550, 999736100, 500524967),  # noqa: E501
    (1000, 1000000000, 1000000000, YES, 200000000, 648498536, 181678000, 5450340, 3633560, 9083900, 199845800, 500162124),  # noqa: E501
    (1000, 0, 0, YES, 55000000000, 97787976268, 49999900000, 1499997000, 999998000, 2499995000, 54999890000, 524427528),  # noqa: E501
]  # fmt: skip


@pytest.mark.parametrize("row", BUYS)
def test_buys(row: tuple[int, int, int, bool, int, int, int, int, int, int, int, int]) -> None:
    b, yes, no, side, target, shares, base, protocol, resolver, lp, total, price = row
    pool = Pool(b * SOL, yes, no)
    fill = buy(pool, side, target, FEES)
    assert fill == Fill(shares, base, protocol, resolver, lp, total)
    assert price_yes(pool.moved(side, shares)) == price
    assert base_from_total(total, FEES.total_bps) == base


@pytest.mark.parametrize(
    ("b", "yes", "no", "side", "shares", "gross", "net", "leaves", "price"),
    [
        (100, 1935823062, 1016481020, YES, 1835823062, 917919800, 826127820, 853665414, 497708813),
        (100, 1935823062, 1016481020, YES, 1000000000, 501610600, 451449540, 466497858, 499798355),
        (100, 1935823062, 1016481020, NO, 916481020, 454493400, 409044060, 422678862, 504589428),
        (100, 1935823062, 100000000, YES, 1835823062, 909025800, 818123220, 845393994, 500000000),
        (1000, 25 * SOL, 10 * SOL, YES, 5 * SOL, 2518866000, 2266979400, 2342545380, 502499979),
    ],
)
def test_sales(
    b: int,
    yes: int,
    no: int,
    side: bool,
    shares: int,
    gross: int,
    net: int,
    leaves: int,
    price: int,
) -> None:
    pool = Pool(b * SOL, yes, no)
    sale = sell(pool, side, shares, 0, FEES)
    assert (sale.gross, sale.net, sale.net + sale.protocol_fee) == (gross, net, leaves)
    assert price_yes(pool.moved(side, -shares)) == price
    assert sell(pool, side, shares, net, FEES) == sale
    with pytest.raises(LmsrError) as error:
        sell(pool, side, shares, net + 1, FEES)
    assert refusal(error) is ProgramError.SlippageExceeded


@pytest.mark.parametrize(
    ("amount", "split"),
    [
        (0, (0, 0, 0)),
        (9, (0, 0, 0)),
        (10, (0, 0, 1)),
        (99, (2, 1, 6)),
        (100, (3, 2, 5)),
        (999, (29, 19, 51)),
        (1003, (30, 20, 50)),
        (9999, (299, 199, 501)),
        (99999, (2999, 1999, 5001)),
        (10**9, (30_000_000, 20_000_000, 50_000_000)),
    ],
)
def test_fee_split(amount: int, split: tuple[int, int, int]) -> None:
    assert split_fees(amount, FEES) == FeeSplit(*split)


def test_zero_fees_stop_trading() -> None:
    with pytest.raises(LmsrError) as error:
        split_fees(1, Fees(0, 0, 0))
    assert refusal(error) is ProgramError.DivisionByZero


@pytest.mark.parametrize(
    ("b", "smallest"),
    [(100, 1_071_510), (1000, 10_715_100), (10_000, 107_151_000)],
)
def test_first_buy_of_a_fresh_market_has_a_minimum_size(b: int, smallest: int) -> None:
    pool = Pool.fresh(b * SOL)
    buy(pool, YES, smallest, FEES)
    with pytest.raises(LmsrError) as error:
        buy(pool, YES, smallest - b // 10, FEES)
    assert refusal(error) is ProgramError.UnderflowError


def test_small_buy_in_an_unbalanced_pool_gives_zero_shares_and_succeeds() -> None:
    pool = Pool(100 * SOL, 1935823062, 100000000)
    assert buy(pool, YES, MIN_TRADE, FEES) == Fill(0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("pool", "target", "fees", "code"),
    [
        (Pool.fresh(100 * SOL), MIN_TRADE - 1, FEES, ProgramError.TradeTooSmall),
        (Pool.fresh(MIN_B - 1), SOL, FEES, ProgramError.InvalidBParameter),
        (Pool(100 * SOL, 1100 * SOL, 0), SOL, FEES, ProgramError.ExponentTooLarge),
        (Pool.fresh(100 * SOL), SOL, Fees(400, 300, 500), ProgramError.SlippageExceeded),
        (Pool.fresh(100 * SOL), SOL, Fees(0, 0, 0), ProgramError.DivisionByZero),
        (Pool.fresh(100 * SOL), U64_MAX, FEES, ProgramError.OverflowError),
        (Pool(2**60, 2**59, 2**59), SOL, FEES, ProgramError.OverflowError),
    ],
)
def test_refused_buys(pool: Pool, target: int, fees: Fees, code: ProgramError) -> None:
    with pytest.raises(LmsrError) as error:
        buy(pool, YES, target, fees)
    assert refusal(error) is code


@pytest.mark.parametrize(
    ("shares", "code"),
    [(2 * SOL, ProgramError.InsufficientShares), (0, ProgramError.TradeTooSmall)],
)
def test_refused_sales(shares: int, code: ProgramError) -> None:
    with pytest.raises(LmsrError) as error:
        sell(Pool(100 * SOL, SOL, SOL // 2), YES, shares, 0, FEES)
    assert refusal(error) is code


def test_bounded_loss() -> None:
    assert max_loss(1000 * SOL) == 693147180000
    assert max_loss(100 * SOL) == 69314718000
    assert loss_is_bounded(1000 * SOL, 1000 * SOL, 400 * SOL)
    assert not loss_is_bounded(1000 * SOL, 1000 * SOL, 200 * SOL)
    assert loss_is_bounded(1000 * SOL, 1000 * SOL, 1000 * SOL - 693147180000)
    assert not loss_is_bounded(1000 * SOL, 1000 * SOL, 1000 * SOL - 693147180001)
    assert loss_is_bounded(1000 * SOL, 1000 * SOL, 2000 * SOL)
    assert b_for_loss(693 * SOL) == 999787664143
    assert b_for_loss(10 * SOL) == MIN_B


bs = st.integers(100 * SOL, 1_000_000 * SOL)


@st.composite
def pools(draw: st.DrawFn) -> Pool:
    """Pools the program can price, of up to twice b on each side."""
    b = draw(bs)
    return Pool(b, draw(st.integers(0, 2 * b)), draw(st.integers(0, 2 * b)))


@given(pools(), st.booleans(), st.integers(MIN_TRADE, 10**14))
def test_a_buy_stays_within_its_target(pool: Pool, outcome: bool, target: int) -> None:
    # Beyond that the search meets the far side of exp, where other refusals are right.
    assume(target <= 5 * pool.b_parameter)
    try:
        fill = buy(pool, outcome, target, FEES)
    except LmsrError as error:
        assume(error.code is not ProgramError.UnderflowError)
        raise
    assert fill.total == fill.base + fill.protocol_fee + fill.resolver_fee + fill.lp_fee
    assert fill.total <= target
    assert cost(pool.moved(outcome, fill.shares)) - cost(pool) == fill.base
    assert base_from_total(fill.total, FEES.total_bps) == fill.base


@given(pools(), st.booleans(), st.integers(10**9, 10**13))
def test_what_was_bought_can_be_priced_back(pool: Pool, outcome: bool, target: int) -> None:
    try:
        fill = buy(pool, outcome, target, FEES)
    except LmsrError:
        assume(False)
    assume(fill.base >= MIN_TRADE)
    sale = sell(pool.moved(outcome, fill.shares), outcome, fill.shares, 0, FEES)
    assert sale == Sale(
        fill.base,
        fill.protocol_fee,
        fill.resolver_fee,
        fill.lp_fee,
        2 * fill.base - fill.total,
    )


@given(pools())
def test_prices_mirror(pool: Pool) -> None:
    mirrored = Pool(pool.b_parameter, pool.shares_no, pool.shares_yes)
    assert cost(mirrored) == cost(pool)
    assert abs(price_yes(pool) + price_yes(mirrored) - PRECISION) <= 1
    assert 66_987_298 <= price_yes(pool) <= 933_012_702


@given(pools())
def test_close_to_the_real_function_near_balance(pool: Pool) -> None:
    lead = (pool.shares_yes - pool.shares_no) / pool.b_parameter
    assume(abs(lead) <= 1)
    assert abs(price_yes(pool) / PRECISION - 1 / (1 + math.exp(-lead))) < 0.0005


@given(st.integers(0, 10**18), st.integers(0, 10_000))
def test_base_is_recovered_from_the_total(base: int, bps: int) -> None:
    total = base + base * bps // 10_000
    assert base_from_total(total, bps) == base


@given(st.integers(0, 10**12), st.integers(0, 10_000))
def test_totals_without_a_base_are_detected(total: int, bps: int) -> None:
    base = base_from_total(total, bps)
    if base is None:
        near = total * 10_000 // (10_000 + bps)
        assert all(b + b * bps // 10_000 != total for b in range(max(0, near - 2), near + 3))
    else:
        assert base + base * bps // 10_000 == total


def test_the_closed_form_for_ten_percent() -> None:
    for base in range(0, 2_000_000, 7):
        total = base + base // 10
        assert base_from_total(total, 1000) == base == total - total // 11


@given(
    st.integers(0, 10**12),
    st.integers(0, 5000),
    st.integers(0, 3000),
    st.integers(1, 2000),
)
def test_fee_parts_make_the_whole(amount: int, protocol: int, resolver: int, lp: int) -> None:
    split = split_fees(amount, Fees(protocol, resolver, lp))
    assert split.total == amount * (protocol + resolver + lp) // 10_000
    assert min(split.protocol, split.resolver, split.lp) >= 0
