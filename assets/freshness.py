"""Freshness of assets whose runs often find nothing to change.

Dagster's own ``FreshnessPolicy`` counts materializations only. An asset that changes rarely would
either look stale, or have to record a materialization in every run that changed nothing, which
buries the last one that did. Such a run records an observation instead (``assets.asset_results``),
and the check here counts both: it says when the asset was last changed *or verified*.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta

import dagster as dg
import msgspec

CHECK_NAME = "verified_within_limit"
METADATA_KEY = "zmart/verified_within"


class VerifiedWithin(msgspec.Struct, frozen=True):
    """How old the last materialization or observation may be, in minutes.

    Attributes:
        warn: The check fails as a warning from here on.
        fail: The check fails as an error from here on.
    """

    warn: int
    fail: int

    def metadata(self) -> Mapping[str, str]:
        """Return the limits as metadata of the asset."""
        return {METADATA_KEY: f"{self.warn}/{self.fail} minutes"}


def limits_of(metadata: Mapping[str, object]) -> VerifiedWithin | None:
    """Return the limits that an asset's metadata declare, if any."""
    declared = metadata.get(METADATA_KEY)
    if declared is None:
        return None
    warn, fail = str(getattr(declared, "value", declared)).removesuffix(" minutes").split("/")
    return VerifiedWithin(int(warn), int(fail))


def last_verified(instance: dg.DagsterInstance, asset: dg.AssetKey) -> float | None:
    """Return when the asset was last materialized or observed (Unix seconds), if ever."""
    records = [
        *instance.fetch_materializations(asset, limit=1).records,
        *instance.fetch_observations(asset, limit=1).records,
    ]
    return max((record.timestamp for record in records), default=None)


def evaluate_freshness(
    instance: dg.DagsterInstance, asset: dg.AssetKey, limits: VerifiedWithin, now: float
) -> dg.AssetCheckResult:
    """Compare the age of the last materialization or observation with the limits.

    An asset without any is measured from the instance's oldest run.
    """
    verified = last_verified(instance, asset)
    since = verified
    if since is None:
        oldest = instance.get_run_records(limit=1, ascending=True)
        since = min((record.create_timestamp.timestamp() for record in oldest), default=now)
    age = max(0.0, now - since)
    word = "verified" if verified is not None else "never verified; the first run was"
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=CHECK_NAME,
        passed=age < limits.warn * 60,
        severity=dg.AssetCheckSeverity.ERROR
        if age >= limits.fail * 60
        else dg.AssetCheckSeverity.WARN,
        description=f"{word} {timedelta(seconds=round(age))} ago",
        metadata={"Age (seconds)": round(age, 3)},
    )


def freshness_checks(specs: Iterable[dg.AssetSpec]) -> dg.AssetChecksDefinition:
    """Return the check ``verified_within_limit`` for every asset that declares limits."""
    limits = {
        spec.key: declared for spec in specs if (declared := limits_of(spec.metadata)) is not None
    }

    @dg.multi_asset_check(
        name=CHECK_NAME,
        can_subset=True,
        specs=[
            dg.AssetCheckSpec(
                CHECK_NAME,
                asset=key,
                description="The asset was materialized, or observed to be up to date, within "
                f"the last {limit.warn} minutes (error after {limit.fail}).",
            )
            for key, limit in limits.items()
        ],
    )
    def verified_within_limit(
        context: dg.AssetCheckExecutionContext,
    ) -> Iterator[dg.AssetCheckResult]:
        """Read Dagster's event log; no table is read."""
        now = time.time()
        for check in context.selected_asset_check_keys:
            asset = check.asset_key
            yield evaluate_freshness(context.instance, asset, limits[asset], now)

    return verified_within_limit
