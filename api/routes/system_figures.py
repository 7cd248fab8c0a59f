"""Figures of the whole system: rates, backups, snapshots of discussions, growth."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec
from litestar import get
from sqlalchemy import Connection

from api import caching
from api.dependencies import READ_ERRORS, DatabaseDep
from zmart_pipelines.client_schemas.formats import iso8601, iso8601_or_none
from zmart_pipelines.ledger.model.provenance import Source
from zmart_pipelines.store.queries import (
    backups,
    discussion_snapshots,
    health,
    system_figures,
)
from zmart_pipelines.store.queries.system_figures import RECENT_SECONDS

_TABLES: Final = 12


class IntakeFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How transactions came to the ledger lately.

    Of the `transactions` on chain in the last ten minutes but one, `seconds` together, webhooks
    delivered `by_webhook`; polls found the others. `confirmed_at` and `finalized_at` are when the
    polls last read up to the cluster's tip.
    """

    seconds: int
    transactions: int
    by_webhook: int
    deliveries_waiting: int
    confirmed_at: str | None
    finalized_at: str | None


class BackupFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The newest attempt of a backup, and when the newest one that was verified was begun.

    `failed` says whether the newest attempt did; all is null before the first.
    """

    taken_at: str | None
    failed: bool | None
    bytes: int | None
    rows: int | None
    last_verified_at: str | None


class SnapshotFigures(msgspec.Struct, frozen=True):
    """When a snapshot of a discussion was last pinned, and how many wait to be pinned."""

    last_pinned_at: str | None
    waiting: int
    waiting_since: str | None


class TableSize(msgspec.Struct, frozen=True, kw_only=True):
    """A table with its indexes.

    `rows` is estimated. `inserted` only grows: two answers give the rate of growth.
    """

    name: str
    bytes: int
    rows: int
    inserted: int


class DatabaseGrowth(msgspec.Struct, frozen=True, kw_only=True):
    """The database, and its largest tables, the largest first."""

    bytes: int
    connections: int
    max_connections: int
    tables: list[TableSize]


class SystemFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of the system as a whole, measured at one time."""

    measured_at: str
    intake: IntakeFigures
    backups: BackupFigures
    snapshots: SnapshotFigures
    database: DatabaseGrowth


@get(
    "/api/system",
    tags=["ledger"],
    responses=READ_ERRORS,
    cache_control=caching.A_SECOND,
)
async def get_system_figures(database: DatabaseDep) -> SystemFigures:
    """Get rates of webhooks and polls, the age of backups and snapshots, and what grows."""
    return await database.read(_figures)


def _figures(conn: Connection) -> SystemFigures:
    return SystemFigures(
        measured_at=iso8601(datetime.now(UTC)),
        intake=_intake(conn),
        backups=_backups(conn),
        snapshots=_snapshots(conn),
        database=_database(conn),
    )


def _intake(conn: Connection) -> IntakeFigures:
    ledger = system_figures.ledger_figures(conn, webhook=Source.WEBHOOK)
    polls = health.poll_times(conn)
    return IntakeFigures(
        seconds=RECENT_SECONDS,
        transactions=ledger.transactions,
        by_webhook=ledger.transactions - ledger.missed_by_webhooks,
        deliveries_waiting=ledger.deliveries_waiting,
        confirmed_at=iso8601_or_none(polls.get("confirmed")),
        finalized_at=iso8601_or_none(polls.get("finalized")),
    )


def _backups(conn: Connection) -> BackupFigures:
    newest = next(iter(backups.newest_backups(conn, 1)), None)
    return BackupFigures(
        taken_at=None if newest is None else iso8601(newest.taken_at),
        failed=None if newest is None else newest.error is not None,
        bytes=None if newest is None else newest.bytes,
        rows=None if newest is None else newest.rows,
        last_verified_at=iso8601_or_none(backups.last_verified(conn)),
    )


def _snapshots(conn: Connection) -> SnapshotFigures:
    facts = discussion_snapshots.pin_facts(conn)
    return SnapshotFigures(
        iso8601_or_none(facts.last_pin_at),
        facts.waiting,
        iso8601_or_none(facts.waiting_since),
    )


def _database(conn: Connection) -> DatabaseGrowth:
    found = system_figures.database_figures(conn)
    largest = sorted(system_figures.table_figures(conn), key=lambda one: -one.bytes)[:_TABLES]
    return DatabaseGrowth(
        bytes=found.bytes,
        connections=found.connections,
        max_connections=found.max_connections,
        tables=[
            TableSize(name=one.name, bytes=one.bytes, rows=one.rows, inserted=one.inserted)
            for one in largest
        ],
    )


HANDLERS = [get_system_figures]
