"""The entry point of the code location: collects what the modules of ``assets.defs`` define.

An asset stands in its module together with its freshness policy, checks, job and schedule;
nothing has to be registered here. The checks of ``assets.freshness`` are generated from the specs.
``build_defs`` returns a fresh ``Definitions``, so that tests and ``run_checks`` can put their own
resources in; ``defs`` is what the code server loads.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import dagster as dg

import assets.defs
from assets.catalog import location_metadata
from assets.freshness import freshness_checks
from assets.process_logs import run_logger
from assets.resources import Backend


def build_defs(*, resource_overrides: Mapping[str, object] | None = None) -> dg.Definitions:
    """Return all definitions.

    Args:
        resource_overrides: Replaces resources by name (``backend``).
    """
    with warnings.catch_warnings():
        # The loader is the one that `dg` projects use; only its signature may still change.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        loaded = dg.load_definitions_from_package_module(
            assets.defs,
            resources={"backend": Backend(), **(resource_overrides or {})},
            # A process for each step costs a second of time and of CPU; ours are short.
            executor=dg.in_process_executor,
        )
    generated = freshness_checks(loaded.resolve_all_asset_specs())
    return dg.Definitions.merge(
        loaded,
        dg.Definitions(
            asset_checks=[generated],
            loggers={"console": run_logger},
            metadata=location_metadata(),
        ),
    )


defs = build_defs()
