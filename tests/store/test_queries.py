"""What the reads say, against the history they are of."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import Connection

from tests.ledger.recorded_rpc import Recorder, address, identity
from tests.store.conftest import CATEGORIES
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.store.queries import (
    activity,
    markets,
    positions,
    statistics,
    trades,
)


def test_markets_are_listed_newest_first_and_counted(conn: Connection, chain: Recorder) -> None:
    accounts = chain.markets()
    order = sorted(accounts.values(), key=lambda one: (one.created_at, one.market_id))[::-1]
    everything = markets.find_markets(conn, limit=1000)
    assert [one.market_id for one in everything] == [one.market_id for one in order]
    assert markets.count(conn) == len(accounts)
    for state in MarketState:
        expected = [one.market_id for one in order if one.state is state]
        found = markets.find_markets(conn, state=state.value, limit=1000)
        assert [one.market_id for one in found] == expected
        assert markets.count(conn, state=state.value) == len(expected)
    creator = bytes(chain.users[2])
    mine = [one.market_id for one in order if one.creator == creator]
    assert [one.market_id for one in markets.find_markets(conn, creator=creator, limit=99)] == mine
    assert markets.counts_by_state(conn) == Counter(int(one.state) for one in accounts.values())


def test_pages_by_key_and_by_offset_are_the_same(conn: Connection, chain: Recorder) -> None:
    everything = markets.find_markets(conn, limit=1000)
    by_offset = [
        one
        for start in range(0, len(everything), 7)
        for one in markets.find_markets(conn, limit=7, offset=start)
    ]
    by_key: list[markets.Market] = []
    while page := markets.find_markets(
        conn,
        limit=7,
        after=markets.MarketKey(by_key[-1].created_at, by_key[-1].market_id) if by_key else None,
    ):
        by_key += page
    assert by_offset == by_key == everything
    assert chain.market_ids


def test_a_market_is_found_by_id_and_by_address(conn: Connection, lively: Recorder) -> None:
    market_id = identity(0)
    found = markets.get(conn, market_id)
    assert found is not None
    assert markets.get_by_address(conn, bytes(address(market_id))) == found
    assert markets.resolve(conn, market_id) == found
    assert markets.resolve(conn, bytes(address(market_id))) == found
    assert markets.resolve(conn, bytes(32)) is None
    assert markets.id_of(conn, market_id) == market_id
    assert markets.id_of(conn, bytes(address(market_id))) == market_id
    assert markets.id_of(conn, bytes(32)) is None
    account = lively.market(market_id)
    assert (found.state, found.final_outcome) == (MarketState.FINALIZED, True)
    assert found.total_volume == account.total_volume
    assert isinstance(found.total_volume, int)
    assert found.tags == ["a", "b"]
    assert found.category == "crypto"
    assert found.commitment == "finalized"


def test_search_text_is_matched_literally(conn: Connection, lively: Recorder) -> None:
    def ids(wanted: str) -> list[bytes]:
        return [one.market_id for one in markets.find_markets(conn, text=wanted)]

    assert ids("NUMBER_1 hold") == [identity(1)]
    assert ids("plain words") == [identity(2)]
    assert len(ids("100% of")) == len(CATEGORIES)
    assert ids("100_ of") == []  # neither % nor _ is a wildcard
    assert ids("'; DROP TABLE market.markets; --") == []
    assert lively.market_ids


def test_categories_and_related_markets(conn: Connection, lively: Recorder) -> None:
    now = lively.now
    found = {one.category: one for one in markets.categories(conn, now)}
    assert [one.category for one in markets.categories(conn, now)] == ["crypto", "other", "sports"]
    assert (found["crypto"].markets, found["crypto"].open_markets) == (2, 1)
    assert found["crypto"].created_last_day == 2
    assert markets.categories(conn, now + 2 * 86_400)[0].created_last_day == 0
    assert markets.categories(conn, now + 86_401)[0].created_day_before == 2
    related = markets.related(conn, identity(0))
    assert [(one.market_id, one.category_match) for one in related[:1]] == [(identity(2), True)]
    assert identity(1) in [one.market_id for one in related]
    assert markets.related(conn, bytes(32)) == []
    assert markets.questions(conn, [identity(1), bytes(32)]) == {
        identity(1): "Does 100% of number_1 hold?"
    }
    assert 0 < markets.last_chain_time(conn) <= now


def test_trades_claims_and_withdrawals(conn: Connection, lively: Recorder) -> None:
    found = trades.find_trades(conn, market_id=identity(0), descending=False)
    assert [one.user for one in found] == [bytes(user) for user in lively.users[1:4]]
    assert [one.outcome for one in found] == [True, False, True]
    assert trades.find_trades(conn, market_id=identity(0)) == found[::-1]
    assert trades.find_trades(conn, market_id=identity(0), limit=1, offset=1) == [found[1]]
    last = trades.order().key_of(found[0])
    assert (
        trades.find_trades(conn, market_id=identity(0), descending=False, after=last) == found[1:]
    )
    assert trades.find_trades(conn, market_id=identity(0), after=last) == []
    assert trades.count(conn, market_id=identity(0)) == 3
    assert trades.count(conn, user=bytes(lively.users[1])) == 2
    assert sum(one.cost for one in found) == lively.market(identity(0)).total_volume
    (claim,) = trades.claims(conn, user=bytes(lively.users[1]))
    assert claim.amount == lively.positions(identity(0))[claim.user].claimed_amount
    assert trades.claims(conn, market_id=identity(1)) == []
    (withdrawal,) = trades.withdrawals(conn, identity(0))
    assert withdrawal.creator == bytes(lively.users[0])


def test_position_value_equals_the_programs_payout(conn: Connection, lively: Recorder) -> None:
    winner, loser, other = (bytes(user) for user in lively.users[1:4])
    held = {one.user: one for one in positions.positions_of_market(conn, identity(0))}
    assert held[winner].current_value == held[winner].claimed_amount > 0
    assert held[loser].current_value == 0
    # The creator has withdrawn: what is left for those who come late is nothing.
    assert held[other].current_value == 0
    mine = positions.of_user(conn, winner)
    assert [one.market_id for one in mine] == [identity(1), identity(0)]
    active = mine[0]
    assert active.question == "Does 100% of number_1 hold?"
    assert active.state == MarketState.ACTIVE
    share = active.shares_yes * active.current_liquidity // active.market_shares_yes
    assert active.payout(True) == share
    assert active.payout(False) == 0
    assert active.payout(None) == active.total_invested
    assert active.current_value == share * active.price_yes // 10**9
    assert positions.get(conn, identity(1), winner) == active
    assert positions.get(conn, identity(1), loser) is None
    assert positions.holds(conn, identity(1), winner)
    assert not positions.holds(conn, identity(1), loser)


def test_statistics_are_sums_of_the_trades(conn: Connection, lively: Recorder) -> None:
    found = trades.find_trades(conn, market_id=identity(0))
    stats = statistics.statistics_of_market(conn, identity(0), lively.now)
    assert (stats.total_trades, stats.unique_traders) == (3, 3)
    assert stats.total_volume == stats.buy_volume == sum(one.cost for one in found)
    assert (stats.sell_volume, stats.volume_24h) == (0, stats.total_volume)
    assert statistics.statistics_of_market(conn, identity(0), lively.now + 86_400).volume_24h == 0
    history_ = statistics.price_history(conn, identity(0), limit=2)
    assert [one.price_yes for one in history_] == [one.price_yes for one in found[::-1]][1:]
    (first, second) = statistics.trending(conn, lively.now, limit=2)
    assert (first.market_id, first.unique_traders) == (identity(1), 1)
    assert first.price_24h_ago == 500_000_000
    assert (second.market_id, second.volume_24h) == (identity(2), 0)
    later = statistics.trending(conn, lively.now + 86_401)[0]
    assert later.price_24h_ago == later.price_yes
    user = statistics.statistics_of_user(conn, bytes(lively.users[1]))
    assert (user.total_trades, user.markets_traded, user.markets_created) == (2, 2, 0)
    assert user.claimed > 0
    assert statistics.statistics_of_user(conn, bytes(lively.users[0])).markets_created == len(
        CATEGORIES
    )


def test_activity_is_newest_first_and_filtered_by_kind(conn: Connection, lively: Recorder) -> None:
    everything = activity.latest_activity(conn, limit=100)
    assert [one.at for one in everything] == sorted((one.at for one in everything), reverse=True)
    assert Counter(one.type for one in everything) == {
        "trade": 4,
        "creation": len(CATEGORIES),
        "resolution": 1,
    }
    assert len({(one.type, one.id) for one in everything}) == len(everything)
    (resolution,) = activity.latest_activity(conn, type_="resolution")
    assert (resolution.user, resolution.outcome) == (bytes(lively.users[5]), True)
    assert len(activity.latest_activity(conn, limit=3)) == 3
