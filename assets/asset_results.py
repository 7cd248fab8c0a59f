"""Record what a run did to an asset: a materialization if it changed it, else an observation.

An observation shows that the asset was verified, without hiding the last materialization that
changed it. ``assets.freshness`` counts both. The asset's spec must be ``skippable``.
"""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg


def record_result(
    context: dg.AssetExecutionContext, result: dg.MaterializeResult[None], *, changed: bool
) -> Iterator[dg.MaterializeResult[None]]:
    """Yield ``result`` if it changed the asset; else log it as an observation.

    Args:
        context: Of the step.
        result: What would be materialized; it must name its asset.
        changed: Whether the run changed any row of the asset.
    """
    if changed:
        yield result
        return
    if result.asset_key is None:
        raise ValueError("the result does not name its asset")
    context.log_event(dg.AssetObservation(result.asset_key, metadata=result.metadata))
