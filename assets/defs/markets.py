"""Group ``market``: the projection, a fold of the ledger.

``ledger.ingest`` keeps these tables up to date in the transaction that writes the events, so
most of their materializations are reports of the observer. Materializing them by hand folds
them anew from the ledger, all four together: that is how they are repaired.
"""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from assets import metadata
from assets.asset_jobs import asset_job
from assets.asset_specs import asset_spec, materialized_within
from assets.resources import BackendResource
from zmart_pipelines.ledger.audit.rebuild import rebuild_projection, verify_projection
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import markets, trades
from zmart_pipelines.store.queries.committed_changes import row_counts
from zmart_pipelines.store.tables import market as tables

SPECS = (
    asset_spec(
        "market/state",
        table=tables.markets,
        kinds=["solana"],
        deps=["chain/event_ledger"],
        description="Every market with the fields of its account: state, liquidity, shares, "
        "votes, times, outcome. Integers as on chain, folded from the events.",
        freshness=materialized_within(warn=10, fail=20),
    ),
    asset_spec(
        "market/positions",
        table=tables.positions,
        kinds=["solana"],
        deps=["chain/event_ledger"],
        description="What each wallet holds in each market, what it paid and what it claimed.",
        freshness=materialized_within(warn=10, fail=20),
    ),
    asset_spec(
        "market/claims",
        table=tables.claims,
        kinds=["solana"],
        deps=["chain/event_ledger"],
        description="Winnings and refunds paid out after finalization, one row per claim.",
        freshness=materialized_within(warn=10, fail=20),
    ),
    asset_spec(
        "market/trades",
        table=tables.trades,
        kinds=["solana"],
        deps=["chain/event_ledger"],
        description="Every purchase and sale with its shares, its cost and the price after it.",
        freshness=materialized_within(warn=10, fail=20),
    ),
)


class Refold(dg.Config):
    """What to fold anew."""

    markets: list[str] = Field(
        default=[], description="Market ids in hex; empty for all markets and the configuration."
    )


@dg.multi_asset(name="market_projection", specs=SPECS, can_subset=True)
def market_projection(
    context: dg.AssetExecutionContext, config: Refold, backend: BackendResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Fold the chosen markets from the ledger; only what differs is written."""
    chosen = [bytes.fromhex(market) for market in config.markets] or None
    report = rebuild_projection(backend.engine(Role.INGEST), backend.settings.program, chosen)
    with backend.engine(Role.READ).connect() as conn:
        counts = row_counts(conn, *(spec.metadata["dagster/table_name"] for spec in SPECS))
        states = {
            MarketState(state).name: number
            for state, number in markets.counts_by_state(conn).items()
        }
        newest = markets.find(conn, limit=metadata.PREVIEW_ROWS)
        latest = trades.find(conn, limit=metadata.PREVIEW_ROWS)
        paid = trades.claims(conn, limit=metadata.PREVIEW_ROWS)
    previews = {
        "market/state": {
            "markets by state": metadata.counts(states),
            "markets": metadata.table(
                metadata.rows(newest, "market_id", "question", "state", "price_yes", "total_volume")
            ),
        },
        "market/positions": {},
        "market/claims": {
            "claims": metadata.table(
                metadata.rows(paid, "market_id", "user", "outcome", "amount", "signature")
            ),
            "signatures": metadata.links(backend.settings, [one.signature for one in paid]),
        },
        "market/trades": {
            "trades": metadata.table(
                metadata.rows(
                    latest, "market_id", "user", "trade_type", "outcome", "shares", "cost"
                )
            ),
            "signatures": metadata.links(backend.settings, [one.signature for one in latest]),
        },
    }
    for spec in SPECS:
        if spec.key not in context.selected_asset_keys:
            continue
        yield dg.MaterializeResult(
            asset_key=spec.key,
            metadata={
                "dagster/row_count": counts[spec.metadata["dagster/table_name"]],
                "markets folded": report.markets,
                "events folded": report.events,
                "markets mended": len(report.changed),
                **previews[spec.key.to_user_string()],
            },
        )


@dg.asset_check(
    asset=dg.AssetKey(["market", "state"]),
    name="matches_ledger_fold",
    description="The stored projection of every market has the hash of its ledger's fold.",
)
def matches_ledger_fold(backend: BackendResource) -> dg.AssetCheckResult:
    """Both are read in one snapshot of the database."""
    engine = backend.engine(Role.READ).execution_options(isolation_level="REPEATABLE READ")
    with engine.connect() as conn:
        wrong = verify_projection(conn, backend.settings.program)
    return dg.AssetCheckResult(
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(wrong)} markets differ from the fold of their events",
        metadata={"markets": metadata.table(metadata.rows(wrong, "market_id", "folded", "stored"))},
    )


rebuild_projection_job = asset_job(
    "rebuild_projection",
    "market/state",
    "market/positions",
    "market/claims",
    "market/trades",
    description="Drops and refolds the projection of some or all markets from the ledger.",
)
