"""Every table of ours, one module per schema. Dagster's own lie in schema ``dagster``."""

from zmart_pipelines.store.tables import (
    accounts,
    audit,
    backups,
    chain,
    comments,
    community,
    leaderboards,
    listings,
    market,
    ops,
    orders,
    reconciliation,
    relayed_transactions,
    snapshots,
    statistics,
    voting,
)
from zmart_pipelines.store.tables.base import SCHEMAS, metadata

__all__ = [
    "SCHEMAS",
    "accounts",
    "audit",
    "backups",
    "chain",
    "comments",
    "community",
    "leaderboards",
    "listings",
    "market",
    "metadata",
    "ops",
    "orders",
    "reconciliation",
    "relayed_transactions",
    "snapshots",
    "statistics",
    "voting",
]
