"""``submissions/relayed_transactions``: transactions that wallets signed and the API stored.

The API sends what it has stored at once. What it leaves behind, because it was stopped or cannot
reach a node, is sent on by the job here, from the same rows and by the same machine.
"""

from collections.abc import Iterator
from datetime import UTC, timedelta

import dagster as dg

from assets import metadata
from assets.asset_checks import older_than
from assets.asset_jobs import SUBMISSION_TAGS, asset_job
from assets.asset_results import record_result
from assets.asset_specs import asset_spec
from assets.resources import BackendResource
from zmart_pipelines.relay.driver import drive_abandoned
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries.relayed_transactions import open_transactions
from zmart_pipelines.store.tables.relayed_transactions import relayed_transactions as table

# Seconds without a holder after which a transaction counts as left behind: the API claims what it
# has stored within milliseconds.
ABANDONED_SECONDS = 5.0
# A blockhash is valid for about a minute, and finality takes some seconds.
OPEN_LIMIT = timedelta(minutes=5)

_RELAYED = dg.AssetKey(["submissions", "relayed_transactions"])


@dg.multi_asset(
    name="relayed_transactions",
    specs=[
        asset_spec(
            "submissions/relayed_transactions",
            table=table,
            kinds=["solana"],
            description="Transactions that wallets signed and handed to the API, stored before "
            "they are sent. The API sends them to their end; a run goes on with those that no "
            "process holds.",
            skippable=True,
        )
    ],
)
def relayed_transactions(
    context: dg.AssetExecutionContext, backend: BackendResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Send what no process holds until it is finalized, failed or expired."""
    settings = backend.settings
    report = drive_abandoned(
        backend.engine(Role.PIPELINES),
        backend.rpc,
        lease_seconds=settings.relay_lease_seconds,
        abandoned=ABANDONED_SECONDS,
        seconds=settings.submission_run_seconds,
    )
    yield from record_result(
        context,
        dg.MaterializeResult(
            asset_key=_RELAYED,
            metadata={
                "Transactions taken over": report.claimed,
                "Transactions by end": metadata.counts(report.ended),
                "Transactions still open": report.still_open,
                "Duration (seconds)": round(report.seconds, 3),
            },
        ),
        changed=report.claimed > 0,
    )


@dg.asset_check(
    asset=_RELAYED,
    name="relayed_transactions_within_deadline",
    description="Every relayed transaction is finalized, failed or expired within five minutes.",
)
def relayed_transactions_within_deadline(backend: BackendResource) -> dg.AssetCheckResult:
    """Warn of the oldest open one; the health of the service pipelines raises the alert."""
    with backend.engine(Role.READ).connect() as conn:
        found = open_transactions(conn)
    late = found.since is not None and older_than(found.since, OPEN_LIMIT)
    oldest = None if found.since is None else found.since.astimezone(UTC)
    since = "" if oldest is None else f", the oldest since {oldest:%F %T}Z"
    return dg.AssetCheckResult(
        passed=not late,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{found.number} are open{since}",
    )


relay_transactions_job = asset_job(
    "relay_transactions",
    "submissions/relayed_transactions",
    tags=SUBMISSION_TAGS,
    description="Sends on transactions that wallets signed and that the API stored and left.",
)
