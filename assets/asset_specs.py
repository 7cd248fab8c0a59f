"""What every asset says about itself: group, owner, kinds, description, columns, freshness.

The columns come from the SQLAlchemy tables, so that the catalogue cannot differ from the
database. Values of one materialization belong to ``assets.metadata``, not here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import dagster as dg
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    INPUT_DATA_VERSION_TAG_PREFIX,
    INPUT_EVENT_POINTER_TAG_PREFIX,
    NULL_EVENT_POINTER,
)
from sqlalchemy import Column, Table
from sqlalchemy.dialects import postgresql

OWNERS = ["team:pipelines"]


def _within(warn: int, fail: int) -> dg.FreshnessPolicy:
    """Materialized within so many minutes."""
    return dg.FreshnessPolicy.time_window(
        fail_window=timedelta(minutes=fail), warn_window=timedelta(minutes=warn)
    )


# How old the last materialization may be, by how often there must be one: the finalized window
# each minute; the market tables every five minutes, by the observer; tallies and submissions
# every five by schedule; reconciliation every ten. What depends on others' doing alone
# (webhooks, holes) has no policy.
_FRESHNESS: Mapping[str, dg.FreshnessPolicy] = {
    "chain/event_ledger": _within(3, 10),
    "chain/coverage": _within(3, 10),
    **{
        f"market/{name}": _within(10, 20)
        for name in (
            "state",
            "positions",
            "claims",
            "trades",
            "candles",
            "market_statistics",
            "wallet_statistics",
        )
    },
    "voting/proposal_tallies": _within(10, 20),
    "voting/dispute_tallies": _within(10, 20),
    "submissions/proposal_aggregations": _within(10, 20),
    "submissions/proposal_approvals": _within(10, 20),
    "submissions/market_activations": _within(10, 20),
    "submissions/market_finalizations": _within(10, 20),
    "reconciliation/report": _within(15, 30),
}

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
        freshness_policy=_FRESHNESS.get(key),
        metadata={
            "dagster/column_schema": column_schema(table),
            "dagster/table_name": f"{table.schema}.{table.name}",
        },
    )


def inputs_of(spec: dg.AssetSpec) -> list[str]:
    """The keys of the assets that it is made from."""
    return [dep.asset_key.to_user_string() for dep in spec.deps]


def version_tags(version: str, inputs: Mapping[str, str]) -> dict[str, str]:
    """Tags by which a materialization says what it was made from.

    Without them Dagster compares times, and shows tables as out of date each time their
    source was merely read again, or reported after it was read.

    :param inputs: versions of the assets it was made from, by key.
    """
    return {
        CODE_VERSION_TAG: "reported",
        DATA_VERSION_TAG: version,
        DATA_VERSION_IS_USER_PROVIDED_TAG: "true",
        **{f"{INPUT_DATA_VERSION_TAG_PREFIX}/{name}": value for name, value in inputs.items()},
        **{f"{INPUT_EVENT_POINTER_TAG_PREFIX}/{name}": NULL_EVENT_POINTER for name in inputs},
    }
