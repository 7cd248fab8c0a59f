"""Group ``market``: the projection, a fold of the ledger.

``ledger.ingest`` keeps these tables up to date in the transaction that writes the events, so most
of their materializations are reported by ``external_writes_sensor``. Materializing them by hand
folds them again from the ledger, all four together: that is how they are repaired.
"""

from collections.abc import Iterator, Mapping

import dagster as dg
from pydantic import Field
from sqlalchemy import Connection

from assets import metadata
from assets.asset_jobs import asset_job
from assets.asset_results import record_result
from assets.asset_specs import asset_spec, inputs_of
from assets.dagster_internals import version_tags
from assets.freshness import VerifiedWithin
from assets.launches import launched_by
from assets.resources import BackendResource
from assets.run_lanes import Lane
from zmart_pipelines.ledger.audit.rebuild import verify_projection
from zmart_pipelines.operations import ledger_acts
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import market_counts, markets, trades
from zmart_pipelines.store.queries.committed_changes import ledger_version, row_counts
from zmart_pipelines.store.tables import market as tables

SPECS = (
    asset_spec(
        "market/state",
        table=tables.markets,
        kinds=["solana"],
        deps=["chain/event_ledger"],
        description="Every market with the fields of its account: state, liquidity, shares, "
        "votes, times, outcome. Integers as on chain, folded from the events.",
        freshness=VerifiedWithin(warn=10, fail=20),
        skippable=True,
    ),
    asset_spec(
        "market/positions",
        table=tables.positions,
        kinds=["solana"],
        deps=["chain/event_ledger"],
        description="What each wallet holds in each market, what it paid and what it claimed.",
        freshness=VerifiedWithin(warn=10, fail=20),
        skippable=True,
    ),
    asset_spec(
        "market/claims",
        table=tables.claims,
        kinds=["solana"],
        deps=["chain/event_ledger"],
        description="Winnings and refunds paid out after finalization, one row per claim.",
        freshness=VerifiedWithin(warn=10, fail=20),
        skippable=True,
    ),
    asset_spec(
        "market/trades",
        table=tables.trades,
        kinds=["solana"],
        deps=["chain/event_ledger"],
        description="Every purchase and sale with its shares, its cost and the price after it.",
        freshness=VerifiedWithin(warn=10, fail=20),
        skippable=True,
    ),
)


class RebuildConfig(dg.Config):
    """Which markets are folded again."""

    markets: list[str] = Field(
        default=[],
        description="Market ids in hex; empty for all markets and the program's configuration.",
    )


@dg.multi_asset(name="market_projection", specs=SPECS, can_subset=True)
def market_projection(
    context: dg.AssetExecutionContext, config: RebuildConfig, backend: BackendResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Fold the chosen markets from the ledger; only what differs is written."""
    chosen = [bytes.fromhex(market) for market in config.markets] or None
    with backend.engine(Role.READ).connect() as conn:
        ledger = ledger_version(conn)
    report = ledger_acts.rebuild(
        backend.engine(Role.INGEST), launched_by(context.run), backend.settings.program, chosen, ""
    )
    with backend.engine(Role.READ).connect() as conn:
        counts = row_counts(conn, *(spec.metadata["dagster/table_name"] for spec in SPECS))
        previews = _previews(conn, backend.settings)
    for spec in SPECS:
        if spec.key not in context.selected_asset_keys:
            continue
        result = dg.MaterializeResult[None](
            asset_key=spec.key,
            # The events that were folded are at least of this version.
            tags=version_tags(ledger, dict.fromkeys(inputs_of(spec), ledger)),
            metadata={
                "dagster/row_count": counts[spec.metadata["dagster/table_name"]],
                "Markets folded": report.markets,
                "Events folded": report.events,
                "Markets corrected": len(report.changed),
                **previews[spec.key.to_user_string()],
            },
        )
        yield from record_result(context, result, changed=bool(report.changed))


def _previews(conn: Connection, settings: Settings) -> Mapping[str, Mapping[str, dg.MetadataValue]]:
    """Return the newest rows of each table, by asset."""
    states = {
        MarketState(state).name: number for state, number in markets.counts_by_state(conn).items()
    }
    newest = markets.find_markets(conn, limit=metadata.PREVIEW_ROWS)
    latest = trades.find_trades(conn, limit=metadata.PREVIEW_ROWS)
    paid = trades.claims(conn, limit=metadata.PREVIEW_ROWS)
    return {
        "market/state": {
            "Markets by state": metadata.counts(states),
            "Newest markets": metadata.table(
                metadata.rows(newest, "market_id", "question", "state", "price_yes", "total_volume")
            ),
        },
        "market/positions": {},
        "market/claims": {
            "Latest claims": metadata.table(
                metadata.rows(paid, "market_id", "user", "outcome", "amount", "signature")
            ),
            "Signatures": metadata.links(settings, [row.signature for row in paid]),
        },
        "market/trades": {
            "Latest trades": metadata.table(
                metadata.rows(
                    latest, "market_id", "user", "trade_type", "outcome", "shares", "cost"
                )
            ),
            "Signatures": metadata.links(settings, [row.signature for row in latest]),
        },
    }


@dg.asset_check(
    asset=dg.AssetKey(["market", "state"]),
    name="matches_ledger_fold",
    description="The stored projection of every market has the hash of its ledger's fold.",
)
def matches_ledger_fold(backend: BackendResource) -> dg.AssetCheckResult:
    """Read both in one snapshot of the database."""
    engine = backend.engine(Role.READ).execution_options(isolation_level="REPEATABLE READ")
    with engine.connect() as conn:
        wrong = verify_projection(conn, backend.settings.program)
    return dg.AssetCheckResult(
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(wrong)} markets differ from the fold of their events",
        metadata={"Markets": metadata.table(metadata.rows(wrong, "market_id", "folded", "stored"))},
    )


@dg.asset_check(
    asset=dg.AssetKey(["market", "state"]),
    name="counts_match_markets",
    description="The maintained counts of markets by state and category are those of the rows.",
)
def counts_match_markets(backend: BackendResource) -> dg.AssetCheckResult:
    """Count the rows of every state and category in one statement with the counts."""
    with backend.engine(Role.READ).connect() as conn:
        wrong = market_counts.differences(conn)
    fields = ("state", "category", "counted", "markets")
    return dg.AssetCheckResult(
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(wrong)} counts differ from the markets; zmart rebuild counts again",
        metadata={"Counts": metadata.table(metadata.rows(wrong, *fields))},
    )


rebuild_projection_job = asset_job(
    "rebuild_projection",
    "market/state",
    "market/positions",
    "market/claims",
    "market/trades",
    lane=Lane.BULK,
    description="Folds the projection of some or all markets again from the ledger.",
)
