"""A wallet's result in a market against the same said in fractions and single shares."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from zmart_pipelines.program.wallet_entry import Entry
from zmart_pipelines.statistics.cost_basis import CostBasis
from zmart_pipelines.statistics.wallets import HOUR, Outcome, wallet_result

MARKET, WALLET = b"m" * 32, b"w" * 32
U64 = 2**64 - 1

entries = st.lists(
    st.builds(
        Entry,
        st.integers(0, 10 * HOUR),
        st.booleans(),
        st.booleans(),
        st.one_of(st.integers(0, 30), st.integers(0, U64)),
        st.one_of(st.integers(0, 30), st.integers(0, U64)),
        st.just(1),
    ),
    max_size=20,
).map(lambda made: sorted(made, key=lambda entry: entry.at))
times = st.one_of(st.none(), st.integers(10 * HOUR, 20 * HOUR))


@given(entries)
def test_what_sales_took_and_what_is_left_add_up_to_what_was_paid(made: list[Entry]) -> None:
    basis = CostBasis()
    realised = sum(map(basis.trade, made))
    invested = sum(entry.cost for entry in made if entry.buys)
    proceeds = sum(entry.cost for entry in made if not entry.buys)
    assert (basis.invested, basis.proceeds) == (invested, proceeds)
    assert realised == proceeds - (invested - basis.open_cost)
    assert min(basis.cost_yes, basis.cost_no, basis.shares_yes, basis.shares_no) >= 0


@given(entries)
def test_cost_is_the_average_within_a_lamport_per_sale(made: list[Entry]) -> None:
    basis = CostBasis()
    for side in (True, False):
        shares, cost, sales = 0, Fraction(0), 0
        for entry in made:
            if entry.outcome is not side:
                continue
            if entry.buys:
                shares, cost = shares + entry.shares, cost + entry.cost
            elif shares:
                sold = min(entry.shares, shares)
                shares, cost = shares - sold, cost - cost * Fraction(sold, shares)
                sales += 1
        for entry in made:
            if entry.outcome is side:
                basis.trade(entry)
        kept = basis.cost_yes if side else basis.cost_no
        assert cost <= kept <= cost + sales


@given(
    entries,
    st.integers(0, U64),
    st.integers(0, U64),
    times,
    st.booleans(),
    st.sampled_from([True, False, None]),
)
def test_hours_add_up_to_the_result(
    made: list[Entry],
    open_value: int,
    claimed: int,
    final_at: int | None,
    claims: bool,
    outcome: bool | None,
) -> None:
    invested = sum(entry.cost for entry in made if entry.buys)
    closed_at = None if final_at is None else final_at + 5
    held = Outcome(
        market_id=MARKET,
        wallet=WALLET,
        shares_yes=7,
        shares_no=len(made),
        invested=invested,
        open_value=open_value if final_at is None else 0,
        settled=final_at is not None,
        claimed=claimed if claims and final_at is not None else 0,
        claimed_at=closed_at if claims else None,
        final_at=final_at,
        lost_at=None if claims else closed_at,
        outcome=outcome,
    )
    result = wallet_result(held, made)
    row = result.statistics
    proceeds = sum(entry.cost for entry in made if not entry.buys)
    assert row["realised_pnl"] + row["open_value"] - row["open_cost"] == (
        proceeds + held.claimed + row["open_value"] - invested
    )
    assert row["open_cost"] == result.cost_yes + result.cost_no
    if final_at is not None:
        assert row["open_cost"] == 0
    assert sum(hour["realised_pnl"] for hour in result.hours) == row["realised_pnl"]
    assert sum(hour["volume"] for hour in result.hours) == row["volume"]
    assert sum(hour["trades"] for hour in result.hours) == row["trades"] == len(made)
    assert len({hour["starts_at"] for hour in result.hours}) == len(result.hours)
    counted = final_at is not None and outcome is not None and len(made) != 7
    assert sum(hour["resolved"] for hour in result.hours) == counted
    won = counted and (len(made) < 7) is outcome
    assert sum(hour["resolved_right"] for hour in result.hours) == won
