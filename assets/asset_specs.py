"""Build the spec of an asset: group, owner, kinds, description, columns, freshness.

The columns come from the SQLAlchemy tables, so that the catalog cannot differ from the database.
Metadata of a single materialization are in ``assets.metadata``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import dagster as dg
from sqlalchemy import Column, Table
from sqlalchemy.dialects import postgresql

from assets.catalog import DASHBOARD, GROUPS, OWNERS, dashboard_link, group_tags
from assets.freshness import VerifiedWithin

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy does not annotate it


def materialized_within(*, warn: int, fail: int) -> dg.FreshnessPolicy:
    """Return Dagster's policy that an asset be materialized within so many minutes.

    It is for assets that every run changes; others take ``assets.freshness.VerifiedWithin``.
    """
    return dg.FreshnessPolicy.time_window(
        fail_window=timedelta(minutes=fail), warn_window=timedelta(minutes=warn)
    )


def asset_spec(
    key: str,
    *,
    table: Table,
    description: str,
    kinds: Sequence[str] = (),
    deps: Sequence[str] = (),
    freshness: dg.FreshnessPolicy | VerifiedWithin | None = None,
    skippable: bool = False,
) -> dg.AssetSpec:
    """Return the spec of an asset.

    Args:
        key: ``group/name``.
        table: Holds the asset's rows.
        description: Shown in the catalog.
        kinds: At most two; ``postgres`` is always one of the three that Dagster accepts.
        deps: Keys of the assets it is made from.
        freshness: Its limit of age, if anything makes it regularly.
        skippable: Whether a run may leave it out; see ``assets.asset_results``.
    """
    path = key.split("/")
    verified = freshness.metadata() if isinstance(freshness, VerifiedWithin) else {}
    return dg.AssetSpec(
        key=dg.AssetKey(path),
        deps=[dg.AssetKey(dep.split("/")) for dep in deps],
        group_name=path[0],
        owners=OWNERS,
        tags=group_tags(path[0]),
        kinds={"postgres", *kinds},
        description=description,
        freshness_policy=freshness if isinstance(freshness, dg.FreshnessPolicy) else None,
        skippable=skippable,
        metadata={
            "dagster/column_schema": column_schema(table),
            "dagster/table_name": f"{table.schema}.{table.name}",
            DASHBOARD: dashboard_link(GROUPS[path[0]].page),
            **verified,
        },
    )


def column_schema(table: Table) -> dg.TableSchema:
    """Return the table's columns as Dagster shows them."""
    return dg.TableSchema(columns=[_column(column) for column in table.columns])


def _column(column: Column[object]) -> dg.TableColumn:
    other = []
    if column.primary_key:
        other.append("PRIMARY KEY")
    other += [f"REFERENCES {key.target_fullname}" for key in column.foreign_keys]
    return dg.TableColumn(
        name=column.name,
        description=column.comment,
        type=column.type.compile(dialect=_DIALECT),
        constraints=dg.TableColumnConstraints(
            nullable=bool(column.nullable), unique=bool(column.unique), other=other
        ),
    )


def inputs_of(spec: dg.AssetSpec) -> list[str]:
    """Return the keys of the assets that an asset is made from."""
    return [dep.asset_key.to_user_string() for dep in spec.deps]
