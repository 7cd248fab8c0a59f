"""Statistics of a real ledger in a real database: right, repeatable, corrected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, Engine, Table, delete, select, text, update
from sqlalchemy.exc import IntegrityError

from tests.fixtures.ledger import ingest_committed
from tests.ledger.recorded_rpc import PROGRAM, SOL, Recorder, address, history
from zmart_pipelines.chain.transactions import RawTransaction
from zmart_pipelines.ledger.ingest.orphaning import orphan_readings
from zmart_pipelines.ledger.ingest.transaction import run_in_transaction
from zmart_pipelines.ledger.model.provenance import Source
from zmart_pipelines.program import instructions as ix
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.statistics import refresh as module
from zmart_pipelines.statistics.markets import DAY
from zmart_pipelines.statistics.refresh import NOTHING, refresh
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import candles, newest_trades, positions, statistics
from zmart_pipelines.store.queries import trades as trade_rows
from zmart_pipelines.store.queries.markets import chain_now
from zmart_pipelines.store.tables.chain import transactions
from zmart_pipelines.store.tables.leaderboards import PERIODS, leaderboard_entries
from zmart_pipelines.store.tables.statistics import (
    INTERVALS,
    market_statistics,
    pool_history,
    wallet_hours,
    wallet_statistics,
)
from zmart_pipelines.store.tables.statistics import candles as candle_table

TABLES = (
    candle_table,
    market_statistics,
    wallet_statistics,
    pool_history,
    wallet_hours,
    leaderboard_entries,
)


@pytest.fixture
def pipelines(database: str) -> Iterator[Engine]:
    made = role_engine(Role.PIPELINES, database)
    yield made
    made.dispose()


@pytest.fixture
def ledger(database: str) -> Iterator[Engine]:
    made = role_engine(Role.INGEST, database)
    yield made
    made.dispose()


def ingest_finalized(ledger: Engine, delivered: Sequence[RawTransaction]) -> None:
    ingest_committed(
        ledger,
        delivered,
        source=Source.CONFIRMED_POLL,
        commitment="confirmed",
        program=PROGRAM,
    )


def drop_from_chain(ledger: Engine, delivered: Sequence[RawTransaction]) -> None:
    """The chain turned out not to hold these."""
    wanted = transactions.c.signature.in_([one.signature for one in delivered])

    def work(conn: Connection) -> None:
        keys = [
            (row.signature, row.digest)
            for row in conn.execute(
                select(transactions.c.signature, transactions.c.digest).where(wanted)
            )
        ]
        assert len(keys) == len(delivered)
        orphan_readings(conn, keys, PROGRAM)

    run_in_transaction(ledger, work)


def contents(conn: Connection, table: Table, *without: str) -> list[dict[str, Any]]:
    statement = select(*(column for column in table.c if column.name not in without))
    return [dict(row) for row in conn.execute(statement.order_by(*table.primary_key)).mappings()]


def everything(db: Engine) -> list[list[dict[str, Any]]]:
    with db.connect() as conn:
        return [contents(conn, table) for table in TABLES]


def test_statistics_match_the_rows_of_a_random_history(pipelines: Engine, ledger: Engine) -> None:
    chain = history(7, 250)
    ingest_finalized(ledger, chain.transactions)
    report = refresh(pipelines)
    with pipelines.connect() as conn:
        now = chain_now(conn)
        assert candles.candle_mismatches(conn, timedelta(0)) == []
        for market_id in chain.markets():
            live = statistics.added_up(conn, market_id, now)
            stored = candles.figures_of_market(conn, market_id)
            assert stored is not None
            for field in statistics.MarketStats.__struct_fields__:
                assert getattr(stored, field) == getattr(live, field), field
        for user in map(bytes, chain.users):
            mine = positions.of_user(conn, user, limit=1000)
            totals = candles.figures_of_wallet(conn, user)
            if totals is None:
                assert mine == []
                continue
            paid = [one.claimed_amount if one.has_claimed else one.current_value for one in mine]
            assert totals.claimed + totals.open_value == sum(paid)
            assert totals.invested == sum(one.total_invested for one in mine)
            assert totals.markets == len(mine)
            live_user = statistics.statistics_of_user(conn, user)
            assert (totals.trades, totals.volume) == (
                live_user.total_trades,
                live_user.total_volume,
            )
        volumes = [one.volume_24h for one in candles.busiest_markets(conn, limit=1000)]
        assert volumes == sorted(volumes, reverse=True)
        assert candles.wallets_by_invested(conn, limit=1)[0].invested == max(
            one.invested for one in candles.wallets_by_invested(conn, limit=100)
        )
    assert report.markets == len(chain.markets())
    assert report.trades > 30


def test_served_statistics_are_correct_before_and_after_refresh(
    pipelines: Engine, ledger: Engine
) -> None:
    """From the table while it is right; added up when a market changed or its last day moved."""
    chain = Recorder()
    ids = [chain.create(number) for number in (1, 2, 3)]
    for market_id in ids:
        chain.open(market_id)
    for number, user in enumerate(chain.users):
        chain.buy(ids[number % 2], user, outcome=number % 3 == 0, cost=(number + 1) * SOL)
        chain.advance(seconds=5)

    def agree(now: int) -> None:
        with pipelines.connect() as conn:
            for market_id in ids:
                live = statistics.added_up(conn, market_id, now)
                assert statistics.statistics_of_market(conn, market_id, now) == live
            served = statistics.trending(conn, now, limit=10)
        with pipelines.begin() as conn:
            conn.execute(delete(market_statistics))
            assert statistics.trending(conn, now, limit=10) == served
            conn.rollback()
        assert {one.market_id for one in served} == set(ids)

    ingest_finalized(ledger, chain.transactions)
    agree(chain.now)
    refresh(pipelines, now=chain.now)
    agree(chain.now)
    # The first trade leaves the last day, and the table is not right any more.
    agree(chain.now + DAY - 20)
    agree(chain.now + 2 * DAY)
    already_ingested = len(chain.transactions)
    chain.buy(ids[2], chain.users[0], cost=50 * SOL)
    ingest_finalized(ledger, chain.transactions[already_ingested:])
    agree(chain.now)
    with pipelines.connect() as conn:
        assert statistics.trending(conn, chain.now)[0].market_id == ids[2]


def test_stored_statistics_are_served(pipelines: Engine, ledger: Engine) -> None:
    """Seen by a figure that no trades give."""
    chain = Recorder()
    market_id = chain.create(1)
    chain.open(market_id)
    chain.buy(market_id, chain.users[0])
    ingest_finalized(ledger, chain.transactions)
    refresh(pipelines, now=chain.now)
    with pipelines.begin() as conn:
        conn.execute(
            update(market_statistics).values(total_trades=77, volume_24h=5, price_24h_ago=3)
        )
    with pipelines.connect() as conn:
        assert statistics.statistics_of_market(conn, market_id, chain.now).total_trades == 77
        (first,) = statistics.trending(conn, chain.now)
        assert (first.volume_24h, first.price_24h_ago) == (5, 3)


def test_claim_settles_the_position_and_realises_its_profit(
    pipelines: Engine, ledger: Engine
) -> None:
    chain = Recorder()
    market_id = chain.create(1)
    chain.open(market_id)
    winner, loser = chain.users[1], chain.users[2]
    chain.buy(market_id, winner, True, SOL)
    chain.advance()
    chain.buy(market_id, loser, False, 2 * SOL)
    chain.advance()
    chain.send(
        ix.resolve_market(
            PROGRAM,
            resolver=chain.users[5],
            market=address(market_id),
            outcome=True,
            evidence_hash=b"Qm" + b"e" * 44,
        )
    )
    chain.advance(1000)
    chain.send(
        ix.finalize_market(PROGRAM, backend_authority=chain.backend, market=address(market_id))
    )
    chain.advance()
    ingest_finalized(ledger, chain.transactions)
    refresh(pipelines)
    with pipelines.connect() as conn:
        due = candles.figures_of_wallet(conn, bytes(winner))
        lost = candles.figures_of_wallet(conn, bytes(loser))
    assert due is not None
    assert lost is not None
    assert due.open_value > 0
    assert (due.settled_markets, due.realised_pnl, due.claimed) == (0, 0, 0)
    assert (lost.settled_markets, lost.realised_pnl) == (1, -lost.invested)

    chain.send(
        ix.claim_winnings(PROGRAM, user=winner, market=address(market_id), resolver=chain.users[5])
    )
    ingest_finalized(ledger, chain.transactions[-1:])
    refresh(pipelines)
    with pipelines.connect() as conn:
        paid = candles.figures_of_wallet(conn, bytes(winner))
    assert paid is not None
    account = chain.positions(market_id)[bytes(winner)]
    assert chain.market(market_id).state is MarketState.FINALIZED
    assert (paid.open_value, paid.claimed) == (0, account.claimed_amount)
    assert paid.claimed == due.open_value
    assert paid.realised_pnl == account.claimed_amount - account.total_invested


def test_repeated_refresh_writes_nothing(pipelines: Engine, ledger: Engine) -> None:
    chain = history(3, 120)
    ingest_finalized(ledger, chain.transactions)
    now = chain.now
    first = refresh(pipelines, now=now)
    assert first.candles > 0
    before = everything(pipelines)
    assert refresh(pipelines, now=now) == NOTHING
    again = refresh(pipelines, now=now, everything=True)
    assert again.markets == first.markets
    assert (again.candles, again.market_statistics, again.wallet_statistics) == (0, 0, 0)
    assert everything(pipelines) == before


def test_incremental_refresh_equals_full_refresh(
    pipelines: Engine, ledger: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = history(5, 120)
    monkeypatch.setattr(module, "CHUNK_MARKETS", 2)
    for start in range(0, len(chain.transactions), 40):
        ingest_finalized(ledger, chain.transactions[start : start + 40])
        refresh(pipelines, now=chain.now)
    step_by_step = everything(pipelines)
    monkeypatch.undo()
    with pipelines.begin() as conn:
        for table in TABLES:
            conn.execute(table.delete())
    refresh(pipelines, now=chain.now)
    assert everything(pipelines) == step_by_step


def test_figures_between_refreshes_are_those_of_all_trades(
    pipelines: Engine, ledger: Engine
) -> None:
    """Stored figures are continued by the trades since, and are not used after a refold."""
    chain = Recorder()
    market_id = chain.create(1)
    chain.open(market_id)
    chain.buy(market_id, chain.users[1])
    chain.advance(120)
    ingest_finalized(ledger, chain.transactions)
    refresh(pipelines, now=chain.now)

    def check(trades: int, traders: int, lacking: int | None) -> None:
        with pipelines.connect() as conn:
            assert newest_trades.trades_without_candles(conn, market_id) == lacking
            for now in (chain.now, chain.now + DAY - 60, chain.now + DAY + 1):
                read = statistics.statistics_of_market(conn, market_id, now)
                assert read == statistics.added_up(conn, market_id, now)
                assert (read.total_trades, read.unique_traders) == (trades, traders)

    check(1, 1, 0)
    appended = len(chain.transactions)
    chain.buy(market_id, chain.users[1], False, 2 * SOL)
    chain.buy(market_id, chain.users[2])
    ingest_finalized(ledger, chain.transactions[appended:])
    check(3, 2, 2)
    drop_from_chain(ledger, chain.transactions[-1:])
    check(2, 1, None)
    refresh(pipelines, now=chain.now)
    check(2, 1, 0)


def test_orphaned_trades_leave_the_candles(pipelines: Engine, ledger: Engine) -> None:
    chain = Recorder()
    kept, gone = chain.create(1), chain.create(2)
    for market_id in (kept, gone):
        chain.open(market_id)
    chain.buy(kept, chain.users[1])
    chain.advance(120)
    ingest_finalized(ledger, chain.transactions)
    refresh(pipelines, now=chain.now)
    before = everything(pipelines)
    orphans = len(chain.transactions)
    chain.buy(kept, chain.users[2], False, 2 * SOL)
    chain.buy(gone, chain.users[3])
    ingest_finalized(ledger, chain.transactions[orphans:])
    refresh(pipelines, now=chain.now)
    with pipelines.connect() as conn:
        assert len(candles.candles_of_market(conn, gone, "1m")) == 1
        assert candles.figures_of_wallet(conn, bytes(chain.users[3])) is not None
    drop_from_chain(ledger, chain.transactions[orphans:])
    with pipelines.connect() as conn:
        assert trade_rows.count(conn, market_id=gone) == 0
    refresh(pipelines, now=chain.now)
    after = everything(pipelines)
    for table, rows in zip((after, before), (before, after), strict=True):
        for mine in table[1] + rows[1]:
            mine.pop("market_updated_at", None)
            mine.pop("market_refolded_at", None)
    assert after == before


def test_orphaned_market_deletes_its_statistics(pipelines: Engine, ledger: Engine) -> None:
    chain = Recorder()
    start = len(chain.transactions)
    market_id = chain.create(1)
    chain.open(market_id)
    chain.buy(market_id, chain.users[1])
    ingest_finalized(ledger, chain.transactions)
    refresh(pipelines, now=chain.now)
    assert all(everything(pipelines))
    drop_from_chain(ledger, chain.transactions[start:])
    assert everything(pipelines)[:-1] == [[]] * (len(TABLES) - 1)
    assert refresh(pipelines, now=chain.now).leaderboard_entries == len(PERIODS)
    assert everything(pipelines) == [[]] * len(TABLES)


def test_the_24_hours_advance_without_a_trade(pipelines: Engine, ledger: Engine) -> None:
    chain = Recorder()
    market_id = chain.create(1)
    chain.open(market_id)
    chain.buy(market_id, chain.users[1])
    ingest_finalized(ledger, chain.transactions)
    refresh(pipelines, now=chain.now)
    end = chain.now + 86_400
    assert refresh(pipelines, now=end - 1) == NOTHING
    assert refresh(pipelines, now=end).markets == 1
    with pipelines.connect() as conn:
        figures = candles.figures_of_market(conn, market_id)
    assert figures is not None
    assert (figures.volume_24h, figures.valid_until) == (0, None)
    assert figures.price_change_bps == 0
    assert figures.total_volume == chain.market(market_id).total_volume > 0
    # The trade's hour leaves the leaderboards of the day and of the week.
    later = refresh(pipelines, now=end + 10**6)
    assert later == replace(NOTHING, leaderboard_entries=2)
    assert refresh(pipelines, now=end + 10**6) == NOTHING


def test_damaged_statistics_are_detected_and_repaired(pipelines: Engine, ledger: Engine) -> None:
    chain = history(11, 100)
    ingest_finalized(ledger, chain.transactions)
    refresh(pipelines, now=chain.now)
    before = everything(pipelines)
    damages = [
        "UPDATE market.candles SET volume = volume + 1 WHERE interval = '5m'",
        "UPDATE market.candles SET trades = trades + 1 WHERE interval = '1d'",
        "DELETE FROM market.candles WHERE interval = '1h'",
        (
            "INSERT INTO market.candles SELECT market_id, interval, starts_at + 8640000, open,"
            " high, low, close, volume, trades FROM market.candles"
        ),
    ]
    for damage in damages:
        with pipelines.begin() as conn:
            assert conn.execute(text(damage)).rowcount > 0
        with pipelines.connect() as conn:
            assert candles.candle_mismatches(conn, timedelta(minutes=10)) != [], damage
        assert refresh(pipelines, now=chain.now, everything=True).candles > 0
        assert everything(pipelines) == before
        with pipelines.connect() as conn:
            assert candles.candle_mismatches(conn, timedelta(0)) == []


def test_stale_candles_are_a_mismatch_only_after_the_grace_period(
    pipelines: Engine, ledger: Engine
) -> None:
    chain = Recorder()
    market_id = chain.create(1)
    chain.open(market_id)
    chain.buy(market_id, chain.users[1])
    ingest_finalized(ledger, chain.transactions)
    with pipelines.connect() as conn:
        assert candles.candle_mismatches(conn, timedelta(minutes=10)) == []
        late = candles.candle_mismatches(conn, timedelta(0))
    assert [one.interval for one in late] == sorted(INTERVALS)
    assert all(one.behind and one.market_id == market_id for one in late)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE market.candles SET starts_at = starts_at + 1",
        "UPDATE market.candles SET high = low - 1",
        "UPDATE market.candles SET trades = 0",
        "UPDATE market.candles SET interval = '2m'",
        "UPDATE market.market_statistics SET buy_volume = buy_volume + 1",
        "UPDATE market.wallet_statistics SET realised_pnl = 7",
    ],
)
def test_constraints_reject_impossible_statistics(
    pipelines: Engine, ledger: Engine, damage: str
) -> None:
    chain = Recorder()
    market_id = chain.create(1)
    chain.open(market_id)
    chain.buy(market_id, chain.users[1])
    ingest_finalized(ledger, chain.transactions)
    refresh(pipelines)
    with pipelines.connect() as conn, pytest.raises(IntegrityError):
        conn.execute(text(damage))
