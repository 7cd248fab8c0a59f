"""A wallet's history against a replay from the start for every point."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from zmart_pipelines.program.pool_replay import PoolState
from zmart_pipelines.program.wallet_entry import Entry
from zmart_pipelines.statistics.wallet_history import Parts, PositionHistory, history

PRECISION = 10**9
LAST = 200

amounts = st.one_of(st.integers(0, 50), st.integers(0, 2**64 - 1))
seconds = st.integers(0, LAST)


@st.composite
def positions(draw: st.DrawFn) -> PositionHistory:
    """One position's trades, its market's pools and its end, whatever they are."""
    entries = draw(
        st.lists(
            st.builds(Entry, seconds, st.booleans(), st.booleans(), amounts, amounts, st.just(1)),
            max_size=8,
        )
    )
    pools = draw(
        st.lists(
            st.tuples(
                seconds,
                st.builds(
                    PoolState,
                    amounts,
                    amounts,
                    amounts,
                    st.just(0),
                    st.just(0),
                    st.integers(0, PRECISION),
                    st.just(1),
                ),
            ),
            max_size=8,
        )
    )
    final_at = draw(st.one_of(st.none(), seconds))
    later = st.none() if final_at is None else st.one_of(st.none(), st.integers(final_at, LAST))
    claimed_at = draw(later)
    return PositionHistory(
        entries=sorted(entries, key=lambda entry: entry.at),
        pools=sorted(pools, key=lambda pool: pool[0]),
        final_at=final_at,
        outcome=None if final_at is None else draw(st.sampled_from([True, False, None])),
        emptied_at=draw(later),
        claimed_at=claimed_at,
        claimed=0 if claimed_at is None else draw(amounts),
    )


def naive(position: PositionHistory, moment: int) -> Parts:
    """The parts before ``moment``, from the first trade on."""
    shares, costs = {True: 0, False: 0}, {True: 0, False: 0}
    invested = proceeds = 0
    for at, buys, side, number, cost, _ in position.entries:
        if at >= moment:
            break
        if buys:
            shares[side], costs[side] = shares[side] + number, costs[side] + cost
            invested += cost
        else:
            sold = min(number, shares[side])
            if shares[side]:
                costs[side] -= costs[side] * sold // shares[side]
            shares[side] -= sold
            proceeds += cost
    known = [pool for at, pool in position.pools if at < moment]

    def payout(outcome: bool | None) -> int:
        if outcome is None:
            return invested
        if not known:
            return 0
        outstanding = known[-1].shares_yes if outcome else known[-1].shares_no
        emptied = position.emptied_at is not None and position.emptied_at < moment
        liquidity = 0 if emptied else known[-1].liquidity
        return shares[outcome] * liquidity // outstanding if outstanding else 0

    claimed = position.claimed_at is not None and position.claimed_at < moment
    if claimed:
        return Parts(invested, proceeds, position.claimed)
    if position.final_at is not None and position.final_at < moment:
        value = payout(position.outcome)
        if value == 0:
            return Parts(invested, proceeds)
    elif known:
        price = known[-1].price_yes
        value = (payout(True) * price + payout(False) * (PRECISION - price)) // PRECISION
    else:
        value = 0
    return Parts(invested, proceeds, 0, value, sum(costs.values()), int(any(shares.values())))


@settings(max_examples=150)
@given(
    st.lists(positions(), max_size=4),
    st.lists(st.integers(0, LAST + 50), max_size=12, unique=True).map(sorted),
)
def test_points_are_those_of_a_replay_from_the_start(
    held: list[PositionHistory], times: list[int]
) -> None:
    found = history(held, times)
    assert len(found) == len(times)
    for moment, parts in zip(times, found, strict=True):
        each = [naive(position, moment) for position in held]
        for name in Parts.__struct_fields__:
            assert getattr(parts, name) == sum(getattr(one, name) for one in each), name


@given(st.lists(positions(), max_size=4), seconds)
def test_parts_add_up_to_the_profit(held: list[PositionHistory], moment: int) -> None:
    (parts,) = history(held, [moment])
    assert parts.pnl == parts.realised_pnl + parts.unrealised_pnl
    assert parts.pnl == parts.proceeds + parts.claimed + parts.open_value - parts.invested
    assert parts.unrealised_pnl == parts.open_value - parts.open_cost
