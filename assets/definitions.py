"""The entry point of the code location: everything that Dagster shows and runs.

``build_defs`` makes a fresh ``Definitions``, so that tests and ``run_checks`` can put their own
resources in; ``defs`` is what the code server loads.
"""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from assets import (
    backfill,
    chain,
    checks,
    jobs,
    markets,
    operators,
    quarantine,
    reconciliation,
    schedules,
    statistics,
    submissions,
    voting,
    webhook,
)
from assets.maintenance import clean_up
from assets.resources import Backend
from assets.sensors import breakers, hints, ledger, observer, run_alerts, uncovered_ranges
from assets.sensors import submissions as due


def build_defs(*, resource_overrides: Mapping[str, object] | None = None) -> dg.Definitions:
    """All definitions. ``resource_overrides`` replaces resources by name (``backend``)."""
    return dg.Definitions(
        assets=[
            *chain.ASSETS,
            *backfill.ASSETS,
            *quarantine.ASSETS,
            *markets.ASSETS,
            *statistics.ASSETS,
            *voting.ASSETS,
            *submissions.ASSETS,
            *operators.ASSETS,
            *reconciliation.ASSETS,
        ],
        asset_checks=[*checks.CHECKS, *webhook.CHECKS],
        jobs=[*jobs.ASSET_JOBS, clean_up],
        schedules=schedules.SCHEDULES,
        sensors=[
            *ledger.SENSORS,
            *hints.SENSORS,
            *uncovered_ranges.SENSORS,
            *observer.SENSORS,
            *due.SENSORS,
            *run_alerts.SENSORS,
            *breakers.SENSORS,
        ],
        resources={"backend": Backend(), **(resource_overrides or {})},
        # A process for each step costs a second of time and of CPU; ours are short.
        executor=dg.in_process_executor,
    )


defs = build_defs()
