"""Group ``market``: the projection, a fold of the ledger.

``ledger.ingest`` keeps these tables up to date in the transaction that writes the events, so
their materializations are mostly reports of the observer. Materializing them here drops and
refolds them from the ledger, which is how they are repaired.
"""

from assets.spec import asset_spec
from zmart_pipelines.store.tables import market as tables

_SPECS = [
    asset_spec(
        "market/state",
        table=tables.markets,
        kinds=["solana"],
        deps=["chain/event_ledger"],
        description="Every market with the fields of its account: state, liquidity, shares, "
        "votes, times, outcome. Integers as on chain, folded from the events.",
    ),
    asset_spec(
        "market/positions",
        table=tables.positions,
        kinds=["solana"],
        deps=["chain/event_ledger"],
        description="What each wallet holds in each market, what it paid and what it claimed.",
    ),
    asset_spec(
        "market/claims",
        table=tables.claims,
        kinds=["solana"],
        deps=["chain/event_ledger"],
        description="Winnings and refunds paid out after finalization, one row per claim.",
    ),
    asset_spec(
        "market/trades",
        table=tables.trades,
        kinds=["solana"],
        deps=["chain/event_ledger"],
        description="Every purchase and sale with its shares, cost and the price after it.",
    ),
]
