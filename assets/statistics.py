"""Group ``market``: candles and statistics, made by pandas from trades and positions.

One run makes all three, of the markets that changed since theirs were made. Materializing
them with ``everything`` makes those of all markets anew: that is how damage is mended.
"""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from assets import metadata
from assets.resources import BackendResource
from assets.spec import asset_spec
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import candles
from zmart_pipelines.store.queries.observations import row_counts
from zmart_pipelines.store.tables import statistics as tables

_SPECS = [
    asset_spec(
        "market/candles",
        table=tables.candles,
        kinds=["pandas"],
        deps=["market/trades"],
        description="Open, high, low and close of the price of YES, volume and trades of each "
        "market per minute, five minutes, hour and day in which it was traded.",
    ),
    asset_spec(
        "market/market_statistics",
        table=tables.market_statistics,
        kinds=["pandas"],
        deps=["market/state", "market/trades"],
        description="Each market's volumes, traders, last day and change of price. Right until "
        "the market changes or a trade leaves the last day.",
    ),
    asset_spec(
        "market/wallet_statistics",
        table=tables.wallet_statistics,
        kinds=["pandas"],
        deps=["market/positions", "market/state", "market/trades"],
        description="What each wallet put into each market, took out of it and still holds, by "
        "the program's own payout formula; profits of settled positions.",
    ),
]


class Refresh(dg.Config):
    """What to make anew."""

    everything: bool = Field(default=False, description="All markets, not only those that changed.")


@dg.multi_asset(name="market_figures", specs=_SPECS)
def market_figures(
    config: Refresh, backend: BackendResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Make what is due; only rows that differ are written."""
    # Here, because pandas takes a second that other runs need not pay.
    from zmart_pipelines.statistics.refresh import refresh

    report = refresh(backend.engine(Role.PIPELINES), everything=config.everything)
    with backend.engine(Role.READ).connect() as conn:
        counts = row_counts(conn, *(spec.metadata["dagster/table_name"] for spec in _SPECS))
        busiest = candles.busiest(conn, limit=metadata.PREVIEW_ROWS)
        invested = candles.most_invested(conn, limit=metadata.PREVIEW_ROWS)
        drawn = candles.of_market(conn, busiest[0].market_id, "5m") if busiest else []
    previews = {
        "market/candles": {
            "busiest market, five minutes": metadata.table(
                metadata.rows(drawn[::-1], *candles.Candle.__struct_fields__)
            ),
        },
        "market/market_statistics": {
            "busiest markets": metadata.table(
                metadata.rows(
                    busiest,
                    "market_id",
                    "volume_last_day",
                    "total_volume",
                    "total_trades",
                    "unique_traders",
                    "price_yes",
                    "price_change_bps",
                )
            ),
        },
        "market/wallet_statistics": {
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
    for spec in _SPECS:
        name = spec.metadata["dagster/table_name"]
        yield dg.MaterializeResult(
            asset_key=spec.key,
            metadata={
                "dagster/row_count": counts[name],
                "markets touched": report.markets,
                "trades read": report.trades,
                "rows written": getattr(report, name.partition(".")[2]),
                **previews[spec.key.to_user_string()],
            },
        )


ASSETS = [market_figures]
