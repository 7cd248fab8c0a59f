"""The market maker's integers against known values, function by function."""

from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.localnet_program import scoring
from tests.localnet_program.probe import Probe, Refused

pytestmark = pytest.mark.process

P = 10**9
U64 = st.integers(0, 2**64 - 1)


@pytest.fixture(scope="module")
def probe() -> Probe:
    return Probe()


def refusal(probe: Probe, operation: str, *operands: int) -> object:
    with pytest.raises(Refused) as caught:
        probe(operation, *operands)
    return caught.value.code


EDGES = sorted({x for n in range(1, 65) for x in (2**n - 1, 2 ** (n - 1), 2**n - 2)})


@settings(max_examples=1500)
@given(
    a=U64 | st.sampled_from(EDGES), b=U64 | st.sampled_from(EDGES), c=U64 | st.sampled_from(EDGES)
)
def test_mul_div_is_exact(probe: Probe, a: int, b: int, c: int) -> None:
    if c == 0:
        assert refusal(probe, "mul_div", a, b, c) == 6035
    elif a * b // c >= 2**64:
        assert refusal(probe, "mul_div", a, b, c) == 6033
    else:
        assert probe("mul_div", a, b, c)[0] == a * b // c


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (0, 1000000000),
        (P // 10, 1105170902),
        (P // 2, 1648648648),
        (P, 2714285715),
        (3 * P // 2, 4428571428),
        (2 * P, 7000000006),
        (5 * P // 2, 10230769242),
        (3 * P, 13000000000),
        (3464100000, 13928203254),
        (4 * P, 13000000012),
        (5 * P, 9571428576),
        (6 * P, 7000000000),
        (8 * P, 4428571429),
        (10 * P, 3307692307),
        (12 * P, 2714285714),
        (15 * P, 2224489795),
        (20 * P, 1821917808),
    ],
)
def test_exp(probe: Probe, x: int, expected: int) -> None:
    assert probe("exp", x)[0] == expected


def test_exp_is_refused_past_twenty(probe: Probe) -> None:
    assert refusal(probe, "exp", 20 * P + 1) == 6039


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (1000001000, 998),
        (1100000000, 95310176),
        (1500000000, 405461332),
        (1999999999, 693004112),
        (2 * P, 693147180),
        (2718281828, 999999444),
        (3 * P, 1098608512),
        (4 * P, 1386294360),
        (10 * P, 2302585030),
        (P // 2, 693004112),
        (P, 0),
    ],
)
def test_ln(probe: Probe, x: int, expected: int) -> None:
    assert probe("ln", x)[0] == expected


def test_ln_of_zero_is_refused(probe: Probe) -> None:
    assert refusal(probe, "ln", 0) == 6040


COSTS_AND_PRICES = [
    (100 * P, 100000000, 100000000, 69414718000, 500000000),
    (100 * P, 1935823062, 100000000, 70323743800, 504589428),
    (100 * P, 1935823062, 1016481020, 70778237200, 502298338),
    (1000 * P, 0, 0, 693147180000, 500000000),
    (1000 * P, 100 * P, 0, 744308700000, 524979183),
    (1000 * P, 0, 100 * P, 744308700000, 475020816),
    (1000 * P, 500 * P, 300 * P, 1098085718000, 549833887),
    (1000 * P, 10 * P, 10 * P, 703147180000, 500000000),
    (1000 * P, 15 * P, 10 * P, 705510628000, 501249997),
    (1000 * P, 1000 * P, 500 * P, 1474082588000, 622448979),
    (100 * P, 100 * P, 0, 131365691400, 730769230),
    (100 * P, 200 * P, 0, 213353138800, 875000000),
    (100 * P, 346410000000, 0, 353343646000, 933012701),
    (100 * P, 400 * P, 0, 407410796800, 928571428),
    (100 * P, 1000 * P, 0, 1026415137800, 767857142),
]


@pytest.mark.parametrize(("b", "yes", "no", "cost", "price"), COSTS_AND_PRICES)
def test_cost_and_price(probe: Probe, b: int, yes: int, no: int, cost: int, price: int) -> None:
    assert probe("cost", b, yes, no)[0] == cost
    assert probe("price", b, yes, no)[0] == price


@pytest.mark.parametrize("operation", ["cost", "price"])
def test_errors_of_cost_and_price(probe: Probe, operation: str) -> None:
    assert refusal(probe, operation, 100 * P - 1, 0, 0) == 6042
    assert refusal(probe, operation, 100 * P, 2000 * P + 1000, 0) == 6039
    assert refusal(probe, operation, 100 * P, 0, 2**64 - 1) == 6039


BUYS = [
    (100, 100000000, 100000000, 1, 1000000000, 909090909, 1835823062, 909025800),
    (100, 1935823062, 100000000, 0, 500000000, 454545454, 916481020, 454493400),
    (100, 100000000, 100000000, 1, 100000000, 90909090, 209808351, 90795500),
    (100, 100000000, 100000000, 0, 5000000, 4545454, 37193300, 4317100),
    (100, 100000000, 100000000, 1, 10000000000, 9090909090, 17434120181, 9090452500),
    (100, 100000000, 100000000, 1, 100000000000, 90909090909, 137536048892, 90908932600),
    (1000, P, P, 1, 1000000000, 909090909, 2099871638, 908851000),
    (1000, P, P, 1, 200000000, 181818181, 648498536, 181678000),
    (1000, 0, 0, 1, 55000000000, 50000000000, 97787976268, 49999900000),
]


@pytest.mark.parametrize(("b", "yes", "no", "side", "target", "budget", "shares", "base"), BUYS)
def test_buy(
    probe: Probe,
    b: int,
    yes: int,
    no: int,
    side: int,
    target: int,
    budget: int,
    shares: int,
    base: int,
) -> None:
    assert target * 10000 // 11000 == budget
    assert probe("buy", b * P, yes, no, side, budget)[:2] == (shares, base)


def test_buying_the_side_that_is_far_ahead_is_refused(probe: Probe) -> None:
    assert refusal(probe, "buy", 100 * P, 1001 * P, 0, 1, P) == 6039
    assert refusal(probe, "buy", 2**64 // 20 + 1, 0, 0, 1, P) == 6033


def outcome(function: Callable[..., object], *operands: object) -> object:
    """What a function gives, or the number of the error that it raises."""
    try:
        return function(*operands)
    except (scoring.Wrong, Refused) as refused:
        return refused.code


def agree(probe: Probe, operation: str, *operands: int) -> None:
    """The program's function ends as the oracle's does."""
    expected = outcome(getattr(scoring, operation), *operands)
    given = outcome(probe, operation, *operands)
    if isinstance(given, tuple):
        given = given[: len(expected)] if isinstance(expected, tuple) else given[0]
    assert given == expected


LIQUIDITY = st.sampled_from([99 * P, *(10**n * P for n in range(2, 9)), 2**64 // 20]) | U64
SIZE = st.integers(0, 5 * 10**12) | U64


@settings(max_examples=400)
@given(b=LIQUIDITY, yes=SIZE, no=SIZE)
def test_cost_and_price_agree_with_the_description(probe: Probe, b: int, yes: int, no: int) -> None:
    agree(probe, "cost", b, yes, no)
    agree(probe, "price", b, yes, no)


@settings(max_examples=400)
@given(
    b=st.integers(100 * P, 10**6 * P) | st.sampled_from([100 * P, 10**5 * P, 10**6 * P]),
    yes=st.integers(0, 10**13),
    no=st.integers(0, 10**13),
    side=st.integers(0, 1),
    budget=st.integers(1, 10**12) | st.integers(9_000, 10**8),
)
@example(b=104_857_600_000, yes=0, no=10**10, side=1, budget=300_000)  # ends at 0.001 share exactly
@example(b=10**6 * P, yes=10**12, no=0, side=0, budget=10**9)  # takes 35 rounds
def test_buy_agrees_with_the_description(
    probe: Probe, b: int, yes: int, no: int, side: int, budget: int
) -> None:
    agree(probe, "buy", b, yes, no, side, budget)


SELLS = [
    (100, 1935823062, 1016481020, 1, 1835823062, 917919800),
    (100, 1935823062, 1016481020, 1, 1000000000, 501610600),
    (100, 1935823062, 1016481020, 0, 916481020, 454493400),
    (100, 1935823062, 100000000, 1, 1835823062, 909025800),
    (1000, 25 * P, 10 * P, 1, 5 * P, 2518866000),
]


@pytest.mark.parametrize(("b", "yes", "no", "side", "shares", "gross"), SELLS)
def test_sell(probe: Probe, b: int, yes: int, no: int, side: int, shares: int, gross: int) -> None:
    assert probe("sell", b * P, yes, no, side, shares)[0] == gross


FEES = [
    (9, 0, 0, 0, 0),
    (10, 0, 0, 1, 1),
    (99, 2, 1, 6, 9),
    (100, 3, 2, 5, 10),
    (999, 29, 19, 51, 99),
    (1003, 30, 20, 50, 100),
    (9999, 299, 199, 501, 999),
    (99999, 2999, 1999, 5001, 9999),
    (P, 30000000, 20000000, 50000000, 100000000),
]


@pytest.mark.parametrize(("amount", "protocol", "resolver", "lp", "total"), FEES)
def test_fee_split(
    probe: Probe, amount: int, protocol: int, resolver: int, lp: int, total: int
) -> None:
    assert probe("split", 300, 200, 500, amount) == (protocol, resolver, lp, total)


def test_fee_split_refusals(probe: Probe) -> None:
    assert refusal(probe, "split", 0, 0, 0, P) == 6035
    assert refusal(probe, "split", 300, 200, 500, 2**64 // 1000 + 1) == 6033


def test_max_loss(probe: Probe) -> None:
    assert probe("max_loss", 1000 * P)[0] == 693147180000
    assert probe("max_loss", 100 * P)[0] == 69314718000
