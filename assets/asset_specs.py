"""What every asset says about itself: group, owner, kinds, description, columns, freshness.

The columns come from the SQLAlchemy tables, so that the catalogue cannot differ from the
database. Values of one materialization belong to ``assets.metadata``, not here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import dagster as dg
from sqlalchemy import Column, Table
from sqlalchemy.dialects import postgresql

OWNERS = ["team:pipelines"]


def materialized_within(*, warn: int, fail: int) -> dg.FreshnessPolicy:
    """Return the policy that an asset be materialized within so many minutes."""
    return dg.FreshnessPolicy.time_window(
        fail_window=timedelta(minutes=fail), warn_window=timedelta(minutes=warn)
    )


_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


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


def column_schema(table: Table) -> dg.TableSchema:
    """The table's columns as Dagster shows them."""
    return dg.TableSchema(columns=[_column(column) for column in table.columns])


def asset_spec(
    key: str,
    *,
    table: Table,
    description: str,
    kinds: Sequence[str] = (),
    deps: Sequence[str] = (),
    freshness: dg.FreshnessPolicy | None = None,
) -> dg.AssetSpec:
    """An asset of ours: ``key`` is ``group/name``, the rows lie in ``table``.

    Dagster takes at most three kinds; ``postgres`` is always one of them.
    """
    path = key.split("/")
    return dg.AssetSpec(
        key=dg.AssetKey(path),
        deps=[dg.AssetKey(dep.split("/")) for dep in deps],
        group_name=path[0],
        owners=OWNERS,
        kinds={"postgres", *kinds},
        description=description,
        freshness_policy=freshness,
        metadata={
            "dagster/column_schema": column_schema(table),
            "dagster/table_name": f"{table.schema}.{table.name}",
        },
    )


def inputs_of(spec: dg.AssetSpec) -> list[str]:
    """The keys of the assets that it is made from."""
    return [dep.asset_key.to_user_string() for dep in spec.deps]
