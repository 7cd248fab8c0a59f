"""What data checks of several modules share.

The checks themselves stand beside their assets in ``assets.defs``. What is right is decided by
the domain; a check reads, asks and shows. No check is blocking: a wrong table must be repaired,
and stopping the run that repairs it would not help.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from assets import metadata
from zmart_pipelines.store.queries.breakers import BreakerStatus

# Seconds from a block to its rows, by webhook or confirmed poll: in the median of an hour.
LATENCY_LIMIT = 10.0


def older_than(moment: datetime, limit: timedelta) -> bool:
    """Return whether ``moment`` lies more than ``limit`` in the past."""
    return datetime.now(UTC) - moment > limit


def is_selected(context: dg.AssetCheckExecutionContext, asset: dg.AssetKey) -> bool:
    """Return whether this run evaluates the check on ``asset``."""
    return any(key.asset_key == asset for key in context.selected_asset_check_keys)


def breaker_result(
    breakers: Sequence[BreakerStatus], asset: dg.AssetKey | None = None, check: str | None = None
) -> dg.AssetCheckResult:
    """Return a warning that names those of the breakers that are not closed."""
    found = [breaker for breaker in breakers if not breaker.is_closed]
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=check,
        passed=not found,
        severity=dg.AssetCheckSeverity.WARN,
        description=", ".join(f"{row.name} is {row.state}" for row in found) or "all are closed",
        metadata={
            "breakers": metadata.table(
                metadata.rows(
                    found, "name", "state", "level", "opened_at", "wait_until", "last_error"
                )
            )
        },
    )
