"""Group ``market``: candles and statistics, computed by pandas from trades and positions.

One run computes all of them, for the markets that changed since the last time. Materializing them
with ``everything`` recomputes those of all markets: that is how they are repaired.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
import msgspec
from pydantic import Field
from solders.pubkey import Pubkey
from sqlalchemy import Connection

from assets import metadata
from assets.asset_jobs import asset_job, job_schedule
from assets.asset_results import record_result
from assets.asset_specs import asset_spec, inputs_of
from assets.dagster_internals import version_tags
from assets.freshness import VerifiedWithin
from assets.resources import Backend, BackendResource
from zmart_pipelines.program.lmsr import PRECISION
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import candles, leaderboards, statistics
from zmart_pipelines.store.queries.committed_changes import ledger_version, row_counts
from zmart_pipelines.store.queries.markets import chain_now, questions
from zmart_pipelines.store.tables import statistics as tables
from zmart_pipelines.store.tables.leaderboards import leaderboard_entries

SPECS = (
    asset_spec(
        "market/candles",
        table=tables.candles,
        kinds=["pandas"],
        deps=["market/trades"],
        description="Open, high, low and close of the price of YES, volume and trades of each "
        "market per minute, five minutes, hour and day in which it was traded.",
        freshness=VerifiedWithin(warn=10, fail=20),
        skippable=True,
    ),
    asset_spec(
        "market/market_statistics",
        table=tables.market_statistics,
        kinds=["pandas"],
        deps=["market/state", "market/trades"],
        description="Each market's volumes, traders, last day and change of price. Right until "
        "the market changes or a trade leaves the last day.",
        freshness=VerifiedWithin(warn=10, fail=20),
        skippable=True,
    ),
    asset_spec(
        "market/wallet_statistics",
        table=tables.wallet_statistics,
        kinds=["pandas"],
        deps=["market/positions", "market/state", "market/trades"],
        description="What each wallet put into each market, took out of it and still holds, by "
        "the program's own payout formula; profits of settled positions.",
        freshness=VerifiedWithin(warn=10, fail=20),
        skippable=True,
    ),
    asset_spec(
        "market/pool_history",
        table=tables.pool_history,
        deps=["market/state", "market/trades"],
        description="Each market's pool after the last trade of every hour, replayed with the "
        "program's arithmetic: what positions were worth then, and what the account holds.",
        freshness=VerifiedWithin(warn=10, fail=20),
        skippable=True,
    ),
    asset_spec(
        "market/wallet_hours",
        table=tables.wallet_hours,
        deps=["market/claims", "market/positions", "market/state", "market/trades"],
        description="What each wallet traded and realised in each market, by the hour, and "
        "whether its larger side won.",
        freshness=VerifiedWithin(warn=10, fail=20),
        skippable=True,
    ),
    asset_spec(
        "market/leaderboards",
        table=leaderboard_entries,
        deps=["market/wallet_hours"],
        description="Volume, realised profit and markets resolved right of each wallet over the "
        "last day, the last week and all time. Adds up the wallets whose hours changed.",
        freshness=VerifiedWithin(warn=10, fail=20),
        skippable=True,
    ),
)


# Statistics are computed every minute.
STATISTICS_LIMIT = timedelta(minutes=10)
# Of a chart: markets with a line, points of each, markets and wallets with a bar.
_LINES = 5
_POINTS = 300
_BARS = 8
_LAMPORTS = 1_000_000_000


class StatisticsConfig(dg.Config):
    """Which markets are recomputed."""

    everything: bool = Field(default=False, description="All markets, not only those that changed.")


@dg.multi_asset(name="market_statistics", specs=SPECS)
def statistics_tables(
    context: dg.AssetExecutionContext, config: StatisticsConfig, backend: BackendResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Compute what is due; only rows that differ are written."""
    # Imported here, because pandas takes a second that other runs need not spend.
    from zmart_pipelines.statistics.refresh import refresh

    with backend.engine(Role.READ).connect() as conn:
        ledger = ledger_version(conn)
    report = refresh(backend.engine(Role.PIPELINES), everything=config.everything)
    with backend.engine(Role.READ).connect() as conn:
        counts = row_counts(conn, *(spec.metadata["dagster/table_name"] for spec in SPECS))
        previews = _previews(conn)
    for spec in SPECS:
        name = spec.metadata["dagster/table_name"]
        result = dg.MaterializeResult[None](
            asset_key=spec.key,
            # The rows that were read are at least of this version, whatever was reported of them.
            tags=version_tags(ledger, dict.fromkeys(inputs_of(spec), ledger)),
            metadata={
                "dagster/row_count": counts[name],
                "Markets recomputed": report.markets,
                "Trades read": report.trades,
                "Rows written": getattr(report, name.partition(".")[2]),
                **previews.get(spec.key.to_user_string(), {}),
            },
        )
        changed = report.markets > 0 or report.leaderboard_entries > 0
        yield from record_result(context, result, changed=changed)


def _previews(conn: Connection) -> Mapping[str, Mapping[str, dg.MetadataValue]]:
    """Return charts and the first rows of each table, by asset."""
    busiest = candles.busiest_markets(conn, limit=metadata.PREVIEW_ROWS)
    invested = candles.wallets_by_invested(conn, limit=metadata.PREVIEW_ROWS)
    recent = candles.candles_of_market(conn, busiest[0].market_id, "5m") if busiest else []
    charts = _charts(conn, busiest, invested)
    return {
        "market/candles": {
            "Prices of the busiest markets": charts["prices"],
            "Busiest market, 5-minute candles": metadata.table(
                [_candle_row(candle) for candle in reversed(recent)]
            ),
        },
        "market/market_statistics": {
            "Volume of the busiest markets": charts["volumes"],
            "Busiest markets": metadata.table(
                metadata.rows(
                    busiest,
                    "market_id",
                    "volume_24h",
                    "total_volume",
                    "total_trades",
                    "unique_traders",
                    "price_yes",
                    "price_change_bps",
                )
            ),
        },
        "market/wallet_statistics": {
            "Cash flow of the largest wallets": charts["wallets"],
            "Largest wallets": metadata.table(
                metadata.rows(
                    invested,
                    "wallet",
                    "markets",
                    "trades",
                    "invested",
                    "proceeds",
                    "claimed",
                    "open_value",
                    "realised_pnl",
                )
            ),
        },
        "market/leaderboards": {
            "Largest volumes of the week": metadata.table(
                metadata.rows(
                    leaderboards.find_entries(
                        conn, "volume", "week", after=None, limit=metadata.PREVIEW_ROWS
                    ),
                    "wallet",
                    "trades",
                    "volume",
                    "profit",
                    "resolved",
                    "resolved_right",
                )
            ),
        },
    }


def _candle_row(row: candles.Candle) -> Mapping[str, object]:
    """Return a candle as a row of a table, with its start as a date."""
    begins = datetime.fromtimestamp(row.starts_at, UTC)
    return {"begins": begins, **msgspec.structs.asdict(row)}


def _charts(
    conn: Connection,
    busiest: Sequence[candles.MarketFigures],
    invested: Sequence[candles.WalletFigures],
) -> Mapping[str, dg.MetadataValue]:
    """Draw prices and volumes of these markets, and the cash flow of these wallets."""
    from assets import plots

    traded = [one for one in busiest if one.total_trades]
    nothing = dg.MetadataValue.text("no trades")
    if not traded:
        return dict.fromkeys(("prices", "volumes", "wallets"), nothing)
    names = _names(conn, [one.market_id for one in traded])
    points = {
        one.market_id: [
            (point.traded_at, point.price_yes / PRECISION)
            for point in statistics.price_history(conn, one.market_id, limit=_POINTS)
        ]
        for one in traded[:_LINES]
    }
    first = min(line[0][0] for line in points.values())
    seconds, volume = _volume(conn, list(points), first)
    return {
        "prices": plots.prices(
            {names[market_id]: line for market_id, line in points.items()}, volume, seconds
        ),
        "volumes": plots.bars(
            "Volume by market",
            {
                names[one.market_id]: {
                    "last day": one.volume_24h / _LAMPORTS,
                    "total": one.total_volume / _LAMPORTS,
                }
                for one in traded[:_BARS]
            },
            "SOL",
            "Volume by market",
        ),
        "wallets": plots.bars(
            "Cash flow of the largest wallets",
            {
                f"{str(Pubkey(one.wallet))[:8]}…": {
                    "paid in": one.invested / _LAMPORTS,
                    "paid out": (one.proceeds + one.claimed) / _LAMPORTS,
                    "open positions": one.open_value / _LAMPORTS,
                }
                for one in invested[:_BARS]
            },
            "SOL",
            "Cash flow of the largest wallets",
        ),
    }


def _names(conn: Connection, market_ids: Sequence[bytes]) -> dict[bytes, str]:
    """Return the questions of these markets, prefixed by the id where several are the same."""
    found = questions(conn, market_ids)
    often = Counter(found.values())
    return {
        market_id: text if often[text] == 1 else f"{market_id.hex()[:8]}: {text}"
        for market_id, text in found.items()
    }


def _volume(
    conn: Connection, market_ids: Sequence[bytes], first: int
) -> tuple[int, list[tuple[int, float]]]:
    """Return the total volume of these markets over time.

    Args:
        conn: Reads the tables.
        market_ids: The markets.
        first: Chain seconds of the start.

    Returns:
        Seconds of the shortest interval of which not too many would be drawn, and points of
        (start, volume in SOL).
    """
    for name, seconds in tables.INTERVALS.items():
        total: Counter[int] = Counter()
        for market_id in market_ids:
            rows = candles.candles_of_market(
                conn, market_id, name, start=first - seconds, limit=_POINTS
            )
            total.update({row.starts_at: row.volume for row in rows})
        if len(total) < _POINTS:
            break
    return seconds, [(moment, total[moment] / _LAMPORTS) for moment in sorted(total)]


@dg.asset_check(
    asset=dg.AssetKey(["market", "candles"]),
    name="candles_match_trades",
    description="For every market and interval, the volumes and trade counts of the candles add up "
    "to the trades; candles are computed within ten minutes of a change.",
)
def candles_match_trades(backend: BackendResource) -> dg.AssetCheckResult:
    """Add up in Postgres, independently of how pandas computed the candles."""
    with backend.engine(Role.READ).connect() as conn:
        wrong = candles.candle_mismatches(conn, STATISTICS_LIMIT)
    return dg.AssetCheckResult(
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(wrong)} intervals of {len({one.market_id for one in wrong})} markets "
        "differ from their trades",
        metadata={
            "Candles": metadata.table(
                metadata.rows(wrong, *candles.CandleMismatch.__struct_fields__)
            )
        },
    )


@dg.asset_check(
    asset=dg.AssetKey(["market", "leaderboards"]),
    name="leaderboards_match_trades",
    description="For every wallet and period, trades and volume are those of its trades in the "
    "window, and the profit of all time is the sum of its results; leaderboards are added up "
    "within ten minutes of a change.",
)
def leaderboards_match_trades(backend: BackendResource) -> dg.AssetCheckResult:
    """Add up the trades themselves, independently of the wallets' hours."""
    with backend.engine(Role.READ).connect() as conn:
        wrong = leaderboards.mismatches(conn, STATISTICS_LIMIT)
    return dg.AssetCheckResult(
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(wrong)} entries of {len({one.wallet for one in wrong})} wallets "
        "differ from their trades and results",
        metadata={
            "Entries": metadata.table(
                metadata.rows(wrong, *leaderboards.LeaderboardMismatch.__struct_fields__)
            )
        },
    )


refresh_statistics_job = asset_job(
    "refresh_statistics",
    "market/candles",
    "market/market_statistics",
    "market/wallet_statistics",
    "market/pool_history",
    "market/wallet_hours",
    "market/leaderboards",
    description="Computes candles and statistics of the markets that changed since the last time.",
)


def markets_due(backend: Backend) -> int:
    """Return how many markets changed since their statistics were computed.

    Leaderboards whose window has moved count as one more.
    """
    with backend.engine(Role.READ).connect() as conn:
        now = chain_now(conn)
        return len(candles.markets_to_refresh(conn, now)) + leaderboards.are_due(conn, now)


refresh_statistics_schedule = job_schedule(
    refresh_statistics_job.name,
    "* * * * *",
    "Every minute in which a market changed: recomputes its candles and statistics.",
    work_due=markets_due,
)
