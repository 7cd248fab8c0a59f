"""Group ``market``: candles and statistics, made by pandas from trades and positions.

One run makes all three, of the markets that changed since theirs were made. Materializing
them with ``everything`` makes those of all markets anew: that is how damage is mended.
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
from assets.asset_specs import asset_spec, inputs_of, materialized_within
from assets.dagster_internals import version_tags
from assets.resources import Backend, BackendResource
from zmart_pipelines.program.lmsr import PRECISION
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import candles, statistics
from zmart_pipelines.store.queries.committed_changes import ledger_version, row_counts
from zmart_pipelines.store.queries.markets import chain_now, questions
from zmart_pipelines.store.tables import statistics as tables

SPECS = (
    asset_spec(
        "market/candles",
        table=tables.candles,
        kinds=["pandas"],
        deps=["market/trades"],
        description="Open, high, low and close of the price of YES, volume and trades of each "
        "market per minute, five minutes, hour and day in which it was traded.",
        freshness=materialized_within(warn=10, fail=20),
    ),
    asset_spec(
        "market/market_statistics",
        table=tables.market_statistics,
        kinds=["pandas"],
        deps=["market/state", "market/trades"],
        description="Each market's volumes, traders, last day and change of price. Right until "
        "the market changes or a trade leaves the last day.",
        freshness=materialized_within(warn=10, fail=20),
    ),
    asset_spec(
        "market/wallet_statistics",
        table=tables.wallet_statistics,
        kinds=["pandas"],
        deps=["market/positions", "market/state", "market/trades"],
        description="What each wallet put into each market, took out of it and still holds, by "
        "the program's own payout formula; profits of settled positions.",
        freshness=materialized_within(warn=10, fail=20),
    ),
)


# They are made each minute.
STATISTICS_LIMIT = timedelta(minutes=10)
# Of a picture: markets with a line, trades of each, markets and wallets with a bar.
_LINES = 5
_POINTS = 300
_BARS = 8
_LAMPORTS = 1_000_000_000


class Refresh(dg.Config):
    """What to make anew."""

    everything: bool = Field(default=False, description="All markets, not only those that changed.")


@dg.multi_asset(name="market_figures", specs=SPECS)
def market_figures(
    config: Refresh, backend: BackendResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Make what is due; only rows that differ are written."""
    # Here, because pandas takes a second that other runs need not pay.
    from zmart_pipelines.statistics.refresh import refresh

    with backend.engine(Role.READ).connect() as conn:
        ledger = ledger_version(conn)
    report = refresh(backend.engine(Role.PIPELINES), everything=config.everything)
    with backend.engine(Role.READ).connect() as conn:
        counts = row_counts(conn, *(spec.metadata["dagster/table_name"] for spec in SPECS))
        busiest = candles.busiest(conn, limit=metadata.PREVIEW_ROWS)
        invested = candles.most_invested(conn, limit=metadata.PREVIEW_ROWS)
        drawn = candles.of_market(conn, busiest[0].market_id, "5m") if busiest else []
        pictures = _pictures(conn, busiest, invested)
    previews = {
        "market/candles": {
            "prices of the busiest markets": pictures["prices"],
            "busiest market, five minutes": metadata.table(
                [_candle(one) for one in reversed(drawn)]
            ),
        },
        "market/market_statistics": {
            "volume of the busiest markets": pictures["volumes"],
            "busiest markets": metadata.table(
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
            "money of the largest wallets": pictures["wallets"],
            "largest wallets": metadata.table(
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
    }
    for spec in SPECS:
        name = spec.metadata["dagster/table_name"]
        yield dg.MaterializeResult(
            asset_key=spec.key,
            # The rows that were read are at least of this version, whatever was reported of them.
            tags=version_tags(ledger, dict.fromkeys(inputs_of(spec), ledger)),
            metadata={
                "dagster/row_count": counts[name],
                "markets touched": report.markets,
                "trades read": report.trades,
                "rows written": getattr(report, name.partition(".")[2]),
                **previews[spec.key.to_user_string()],
            },
        )


def _candle(row: candles.Candle) -> Mapping[str, object]:
    """A candle as a row of a table, with its begin for people."""
    begins = datetime.fromtimestamp(row.starts_at, UTC)
    return {"begins": begins, **msgspec.structs.asdict(row)}


def _pictures(
    conn: Connection,
    busiest: Sequence[candles.MarketFigures],
    invested: Sequence[candles.WalletFigures],
) -> Mapping[str, dg.MetadataValue]:
    """Prices and volumes of these markets, and what went into and out of these wallets."""
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
                    "ever": one.total_volume / _LAMPORTS,
                }
                for one in traded[:_BARS]
            },
            "SOL",
            "Volume by market",
        ),
        "wallets": plots.bars(
            "What wallets paid in, took out and still hold",
            {
                f"{str(Pubkey(one.wallet))[:8]}…": {
                    "paid in": one.invested / _LAMPORTS,
                    "taken out": (one.proceeds + one.claimed) / _LAMPORTS,
                    "still open": one.open_value / _LAMPORTS,
                }
                for one in invested[:_BARS]
            },
            "SOL",
            "What wallets paid in, took out and still hold",
        ),
    }


def _names(conn: Connection, market_ids: Sequence[bytes]) -> dict[bytes, str]:
    """The questions of these markets, told apart where several ask the same."""
    found = questions(conn, market_ids)
    often = Counter(found.values())
    return {
        market_id: text if often[text] == 1 else f"{market_id.hex()[:8]}: {text}"
        for market_id, text in found.items()
    }


def _volume(
    conn: Connection, market_ids: Sequence[bytes], first: int
) -> tuple[int, list[tuple[int, float]]]:
    """The volume of these markets in SOL since a chain second, by the shortest interval of
    which not too many would be drawn; and that interval's seconds."""
    for name, seconds in tables.INTERVALS.items():
        total: Counter[int] = Counter()
        for market_id in market_ids:
            rows = candles.of_market(conn, market_id, name, start=first - seconds, limit=_POINTS)
            total.update({row.starts_at: row.volume for row in rows})
        if len(total) < _POINTS:
            break
    return seconds, [(moment, total[moment] / _LAMPORTS) for moment in sorted(total)]


@dg.asset_check(
    asset=dg.AssetKey(["market", "candles"]),
    name="candles_match_trades",
    description="Of every market and interval the candles' volumes and trades add up to the "
    "trades; statistics are made within ten minutes of a change.",
)
def candles_match_trades(backend: BackendResource) -> dg.AssetCheckResult:
    """Added up by Postgres, which knows nothing of how pandas made them."""
    with backend.engine(Role.READ).connect() as conn:
        wrong = candles.faults(conn, STATISTICS_LIMIT)
    return dg.AssetCheckResult(
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(wrong)} intervals of {len({one.market_id for one in wrong})} markets "
        "are not their trades",
        metadata={
            "candles": metadata.table(metadata.rows(wrong, *candles.CandleFault.__struct_fields__))
        },
    )


refresh_statistics_job = asset_job(
    "refresh_statistics",
    "market/candles",
    "market/market_statistics",
    "market/wallet_statistics",
    description="Makes candles and statistics of the markets that changed since theirs were made.",
)


def markets_due(backend: Backend) -> int:
    """Return how many markets changed since their statistics were computed."""
    with backend.engine(Role.READ).connect() as conn:
        return len(candles.due(conn, chain_now(conn)))


refresh_statistics_schedule = job_schedule(
    refresh_statistics_job.name,
    "* * * * *",
    "Each minute in which a market changed: makes its candles and statistics anew.",
    work_due=markets_due,
)
