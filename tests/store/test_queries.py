"""What the reads say, against the history they are of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, insert, text

from tests.ledger.recorded import PROGRAM, SOL, Recorder, address, history, identity, key
from tests.store.conftest import Engines
from zmart_pipelines.ledger import coverage
from zmart_pipelines.ledger.ingest import ingest
from zmart_pipelines.ledger.sources import Source
from zmart_pipelines.program import instructions as ix
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.store.engine import Role, act_as
from zmart_pipelines.store.queries import (
    activity,
    discussions,
    health,
    markets,
    positions,
    statistics,
    submissions,
    trades,
    votes,
)
from zmart_pipelines.store.tables import community, ops, voting

CATEGORIES = ("crypto", "sports", "crypto", "other")


def take(engines: Engines, chain: Recorder) -> None:
    for start in range(0, len(chain.told), 200):
        ingest(
            engines[Role.INGEST],
            chain.told[start : start + 200],
            source=Source.FINALIZED_WINDOW,
            commitment="finalized",
            program=PROGRAM,
        )


@pytest.fixture
def chain(engines: Engines) -> Recorder:
    """A random history in the database."""
    chain = history(31, 400)
    take(engines, chain)
    return chain


@pytest.fixture
def conn(engines: Engines) -> Iterator[Connection]:
    """A connection of the API."""
    with engines[Role.API].connect() as conn:
        yield conn


@pytest.fixture
def lively(engines: Engines) -> Recorder:
    """Four markets with questions; the first is traded, resolved, finalized and claimed."""
    chain = Recorder()
    with engines[Role.API].begin() as conn:
        act_as(conn, bytes(chain.users[0]))
        for number, category in enumerate(CATEGORIES):
            conn.execute(
                insert(community.market_drafts).values(
                    market_id=identity(number),
                    creator=bytes(chain.users[0]),
                    nonce=bytes([number]),
                    question_hash=("Qm" + identity(number).hex())[:46],
                    document=b"{}",
                    question=f"Does 100% of number_{number} hold?",
                    description="Plain words" if number == 2 else "",
                    category=category,
                    tags=["a", "b"],
                    ends_at=datetime(2030, 1, 1, tzinfo=UTC),
                    expires_at=datetime(2030, 1, 1, tzinfo=UTC),
                )
            )
    for number in range(len(CATEGORIES)):
        chain.create(number)
    for number in (0, 1, 2):
        chain.open(identity(number))
    for number, user in enumerate(chain.users[1:4]):
        chain.buy(identity(0), user, number != 1, SOL)
        chain.pass_()
    chain.buy(identity(1), chain.users[1], True, 2 * SOL)
    chain.pass_()
    market = address(identity(0))
    chain.send(
        ix.resolve_market(
            PROGRAM,
            resolver=chain.users[5],
            market=market,
            outcome=True,
            evidence_hash=b"Qm" + b"e" * 44,
        )
    )
    chain.pass_(1000)
    chain.send(ix.finalize_market(PROGRAM, backend_authority=chain.backend, market=market))
    chain.pass_()
    chain.send(
        ix.claim_winnings(PROGRAM, user=chain.users[1], market=market, resolver=chain.users[5])
    )
    chain.pass_()
    chain.send(ix.withdraw_liquidity(PROGRAM, creator=chain.users[0], market=market))
    assert [one.error for one in chain.told if one.error is not None] == []
    take(engines, chain)
    return chain


def test_markets_are_listed_newest_first_and_counted(conn: Connection, chain: Recorder) -> None:
    accounts = chain.markets()
    order = sorted(accounts.values(), key=lambda one: (one.created_at, one.market_id))[::-1]
    everything = markets.find(conn, limit=1000)
    assert [one.market_id for one in everything] == [one.market_id for one in order]
    assert markets.count(conn) == len(accounts)
    for state in MarketState:
        expected = [one.market_id for one in order if one.state is state]
        found = markets.find(conn, state=state.value, limit=1000)
        assert [one.market_id for one in found] == expected
        assert markets.count(conn, state=state.value) == len(expected)
    creator = bytes(chain.users[2])
    mine = [one.market_id for one in order if one.creator == creator]
    assert [one.market_id for one in markets.find(conn, creator=creator, limit=99)] == mine
    assert markets.counts_by_state(conn) == Counter(int(one.state) for one in accounts.values())


def test_pages_by_key_and_by_offset_are_the_same(conn: Connection, chain: Recorder) -> None:
    everything = markets.find(conn, limit=1000)
    by_offset = [
        one
        for start in range(0, len(everything), 7)
        for one in markets.find(conn, limit=7, offset=start)
    ]
    by_key: list[markets.Market] = []
    while page := markets.find(
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
    account = lively.market(market_id)
    assert (found.state, found.final_outcome) == (MarketState.FINALIZED, True)
    assert found.total_volume == account.total_volume
    assert isinstance(found.total_volume, int)
    assert found.tags == ["a", "b"]
    assert found.category == "crypto"
    assert found.commitment == "finalized"


def test_text_is_searched_as_text(conn: Connection, lively: Recorder) -> None:
    def ids(wanted: str) -> list[bytes]:
        return [one.market_id for one in markets.find(conn, text=wanted)]

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
    found = trades.find(conn, market_id=identity(0), descending=False)
    assert [one.user for one in found] == [bytes(user) for user in lively.users[1:4]]
    assert [one.outcome for one in found] == [True, False, True]
    assert trades.find(conn, market_id=identity(0)) == found[::-1]
    assert trades.find(conn, market_id=identity(0), limit=1, offset=1) == [found[1]]
    last = trades.TradeKey(found[0].slot, found[0].index_in_block, found[0].log_index)
    assert trades.find(conn, market_id=identity(0), descending=False, after=last) == found[1:]
    assert trades.find(conn, market_id=identity(0), after=last) == []
    assert trades.count(conn, market_id=identity(0)) == 3
    assert trades.count(conn, user=bytes(lively.users[1])) == 2
    assert sum(one.cost for one in found) == lively.market(identity(0)).total_volume
    (claim,) = trades.claims(conn, user=bytes(lively.users[1]))
    assert claim.amount == lively.positions(identity(0))[claim.user].claimed_amount
    assert trades.claims(conn, market_id=identity(1)) == []
    (withdrawal,) = trades.withdrawals(conn, identity(0))
    assert withdrawal.creator == bytes(lively.users[0])


def test_positions_are_worth_what_the_program_would_pay(conn: Connection, lively: Recorder) -> None:
    winner, loser, other = (bytes(user) for user in lively.users[1:4])
    held = {one.user: one for one in positions.of_market(conn, identity(0))}
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
    assert active.unrealized_pnl == active.current_value - active.total_invested
    assert positions.get(conn, identity(1), winner) == active
    assert positions.get(conn, identity(1), loser) is None
    assert positions.holds(conn, identity(1), winner)
    assert not positions.holds(conn, identity(1), loser)


def test_statistics_are_sums_of_the_trades(conn: Connection, lively: Recorder) -> None:
    found = trades.find(conn, market_id=identity(0))
    stats = statistics.of_market(conn, identity(0), lively.now)
    assert (stats.total_trades, stats.unique_traders) == (3, 3)
    assert stats.total_volume == stats.buy_volume == sum(one.cost for one in found)
    assert (stats.sell_volume, stats.volume_last_day) == (0, stats.total_volume)
    assert statistics.of_market(conn, identity(0), lively.now + 86_400).volume_last_day == 0
    history_ = statistics.price_history(conn, identity(0), limit=2)
    assert [one.price_yes for one in history_] == [one.price_yes for one in found[::-1]][1:]
    (first, second) = statistics.trending(conn, lively.now, limit=2)
    assert (first.market_id, first.unique_traders) == (identity(1), 1)
    assert first.price_day_ago == 500_000_000
    assert (second.market_id, second.volume_last_day) == (identity(2), 0)
    later = statistics.trending(conn, lively.now + 86_401)[0]
    assert later.price_day_ago == later.price_yes
    user = statistics.of_user(conn, bytes(lively.users[1]))
    assert (user.total_trades, user.markets_traded, user.markets_created) == (2, 2, 0)
    assert user.claimed > 0
    assert statistics.of_user(conn, bytes(lively.users[0])).markets_created == len(CATEGORIES)


def test_activity_is_newest_first_and_of_the_kinds_asked_for(
    conn: Connection, lively: Recorder
) -> None:
    everything = activity.latest(conn, limit=100)
    assert [one.at for one in everything] == sorted((one.at for one in everything), reverse=True)
    assert Counter(one.type for one in everything) == {
        "trade": 4,
        "creation": len(CATEGORIES),
        "resolution": 1,
    }
    assert len({(one.type, one.id) for one in everything}) == len(everything)
    (resolution,) = activity.latest(conn, type_="resolution")
    assert (resolution.user, resolution.outcome) == (bytes(lively.users[5]), True)
    assert len(activity.latest(conn, limit=3)) == 3


def test_the_chains_record_of_a_vote_comes_first(
    engines: Engines, conn: Connection, lively: Recorder
) -> None:
    voter, other = lively.users[1], bytes(lively.users[2])
    market_id = identity(3)
    lively.send(ix.submit_proposal_vote(PROGRAM, user=voter, market=address(market_id), vote=False))
    take(engines, lively)
    assert votes.counts(conn, market_id, "proposal") == votes.VoteCounts("proposal", 0, 0, 1, None)
    conn.rollback()
    for wallet in (bytes(voter), other):
        with engines[Role.API].begin() as writer:
            act_as(writer, wallet)
            writer.execute(
                insert(voting.ballots).values(
                    market_id=market_id,
                    kind="proposal",
                    wallet=wallet,
                    choice=True,
                    scheme="zmart-1",
                    message="m",
                    signature=wallet * 2,
                    nonce="n",
                )
            )
    with engines[Role.PIPELINES].begin() as writer:
        writer.execute(
            insert(voting.tallies).values(
                market_id=market_id, kind="proposal", votes_for=2, votes_against=0
            )
        )
    found = {one.wallet: one for one in votes.find(conn, market_id, kind="proposal", round_=0)}
    assert (found[bytes(voter)].source, found[bytes(voter)].choice) == ("chain", False)
    assert (found[other].source, found[other].choice) == ("wallet", True)
    assert found[other].ballot_id is not None
    assert votes.counts(conn, market_id, "proposal") == votes.VoteCounts(
        "proposal", 0, 1, 1, "open"
    )
    assert votes.counts(conn, market_id, "proposal").total == 2
    # Reopened: the chain's record counts again, the ballots of the round before do not.
    with engines[Role.PIPELINES].begin() as writer:
        writer.execute(insert(voting.tallies).values(market_id=market_id, kind="proposal", round=1))
    assert votes.latest_round(conn, market_id, "proposal") == 1
    assert votes.counts(conn, market_id, "proposal").total == 1
    assert {one.wallet for one in votes.find(conn, market_id)} == {bytes(voter), other}
    assert [one.choice for one in votes.of_wallet(conn, other)] == [True]
    assert votes.of_wallet(conn, other, kind="dispute") == []
    assert votes.counts_of_wallet(conn, bytes(voter)) == {"proposal": 1, "dispute": 0}
    assert votes.distinct_voters(conn) == 2
    assert [(one.round, one.votes_for) for one in votes.tallies(conn, kind="proposal")] == [
        (1, 0),
        (0, 2),
    ]
    assert votes.tallies(conn, status="frozen") == []


def test_a_dispute_is_decided_by_holders(
    engines: Engines, conn: Connection, lively: Recorder
) -> None:
    market_id, market = identity(1), address(identity(1))
    lively.send(
        ix.resolve_market(
            PROGRAM,
            resolver=lively.users[5],
            market=market,
            outcome=True,
            evidence_hash=b"Qm" + b"e" * 44,
        )
    )
    lively.pass_()
    lively.send(ix.initiate_dispute(PROGRAM, initiator=lively.users[4], market=market))
    holder, other = lively.users[1], lively.users[2]
    for user in (holder, other):
        lively.send(ix.submit_dispute_vote(PROGRAM, user=user, market=market, vote=True))
    take(engines, lively)
    assert [one.wallet for one in votes.find(conn, market_id)] == [bytes(holder)]
    assert votes.counts(conn, market_id, "dispute").total == 1


def test_discussions_hide_the_deleted(engines: Engines, conn: Connection) -> None:
    wallet, market_id = bytes(key("talker")), identity(1)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with engines[Role.API].begin() as writer:
        act_as(writer, wallet)
        writer.execute(insert(community.users).values(wallet=wallet))
        writer.execute(
            insert(community.discussions),
            [
                {
                    "market_id": market_id,
                    "wallet": wallet,
                    "content": f"comment {number}",
                    "created_at": start + timedelta(minutes=number),
                }
                for number in range(5)
            ],
        )
    found = discussions.find(conn, market_id=market_id)
    assert [one.content for one in found] == [f"comment {number}" for number in (4, 3, 2, 1, 0)]
    after = (found[1].created_at, found[1].id)
    assert discussions.find(conn, market_id=market_id, after=after) == found[2:]
    assert discussions.find(conn, wallet=wallet, limit=2, offset=1) == found[1:3]
    conn.rollback()
    with engines[Role.API].begin() as writer:
        act_as(writer, wallet)
        writer.execute(
            text("UPDATE community.discussions SET deleted_at = now() WHERE id = :id"),
            {"id": found[0].id},
        )
    assert discussions.find(conn, market_id=market_id) == found[1:]
    assert discussions.count(conn, market_id=market_id) == 4
    deleted = discussions.get(conn, found[0].id)
    assert deleted is not None
    assert deleted.deleted_at is not None
    assert discussions.find(conn, market_id=identity(2)) == []


def test_intents_and_attempts(engines: Engines, conn: Connection, lively: Recorder) -> None:
    with engines[Role.PIPELINES].begin() as writer:
        for status in ("planned", "live", "final"):
            intent_id = writer.execute(
                insert(ops.intents)
                .values(
                    market_id=identity(0 if status == "live" else 77),
                    action="finalize_market",
                    round=len(status),
                    arguments={"agree": None},
                    status=status,
                )
                .returning(ops.intents.c.id)
            ).scalar_one()
        writer.execute(
            insert(ops.attempts).values(
                intent_id=intent_id,
                market_id=identity(77),
                signature=bytes(64),
                transaction=b"secret until sent",
                blockhash="x",
                last_valid_block_height=5,
                epoch=1,
            )
        )
    opened = submissions.open_intents(conn)
    assert [one.status for one in opened] == ["planned", "live"]
    assert [one.question for one in opened] == [None, "Does 100% of number_0 hold?"]
    assert [one.status for one in submissions.intents(conn, market_id=identity(0))] == ["live"]
    (attempt,) = submissions.attempts(conn, intent_id=intent_id)
    assert attempt.status == "signed"
    assert submissions.attempts(conn, intent_id=-1) == []
    assert submissions.counts_by_status(conn) == {"planned": 1, "live": 1, "final": 1}
    assert lively.market_ids


def test_the_ledgers_state(engines: Engines, conn: Connection, chain: Recorder) -> None:
    lag = health.ledger_lag(conn)
    assert lag.transactions == len(chain.told)
    assert lag.latest_slot == chain.told[-1].slot
    assert (lag.reported, lag.confirmed, lag.gaps, lag.quarantined) == (0, 0, 0, 0)
    counted = {one.name: one.events for one in health.event_counts(conn)}
    assert counted["MarketCreated"] == len(chain.markets())
    assert sum(counted.values()) == lag.events
    conn.rollback()
    with engines[Role.INGEST].begin() as writer:
        writer.execute(
            text(
                "INSERT INTO chain.coverage (slots) VALUES (int8range(0, 10)), (int8range(20, 30))"
            )
        )
    ranges = health.coverage(conn)
    assert [(one.first_slot, one.last_slot) for one in ranges] == [(0, 9), (20, 29)]
    assert health.ledger_lag(conn).holes == 1


def test_covered_ranges_grow_together(engines: Engines) -> None:
    with engines[Role.INGEST].begin() as writer:
        for first, last in ((10, 19), (30, 39), (20, 25), (15, 22), (50, 50), (26, 29)):
            coverage.cover(writer, first, last)
        ranges = [(one.first_slot, one.last_slot) for one in health.coverage(writer)]
        assert ranges == [(10, 39), (50, 50)]
        assert [coverage.is_covered(writer, slot) for slot in (9, 10, 39, 40, 50)] == [
            False,
            True,
            True,
            False,
            True,
        ]
        assert coverage.cursor(writer, "finalized") is None
        coverage.advance(writer, "finalized", 7)
        coverage.advance(writer, "finalized", 5)
        assert coverage.cursor(writer, "finalized") == 7
