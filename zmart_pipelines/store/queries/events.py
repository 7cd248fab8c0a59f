"""Events of the ledger in the chain's order: of all markets, of one, of a wallet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Text,
    func,
    literal,
    literal_column,
    select,
    union_all,
)

from zmart_pipelines.store.queries.keyset import Key, KeyColumn, Order
from zmart_pipelines.store.queries.row_mapping import many
from zmart_pipelines.store.tables import chain

_events = chain.events
_transactions = chain.transactions

# Sorts after every known index of its slot, as ``config_timeline.UNKNOWN_INDEX`` does in the fold.
UNKNOWN_INDEX: Final = 2**31 - 1
# In the words of the index ``ix_events_wallet``, which no parameter may interrupt.
WALLET: ColumnElement[str] = literal_column(chain.EVENT_WALLET, Text)


class Event(msgspec.Struct, frozen=True):
    """An event line with what is known of its transaction.

    Attributes:
        name: None where the line could not be decoded; then ``quarantine_reason`` is set.
        place_index: ``index_in_block``, or ``UNKNOWN_INDEX``.
        data: The decoded fields, with keys in base58 and ids in hex.
        wallet: The wallet that the event names first, in base58.
        block_time: Chain seconds.
        sources: Bits of ``zmart_pipelines.ledger.model.provenance.Source``.
    """

    signature: bytes
    log_index: int
    digest: bytes
    slot: int
    index_in_block: int | None
    place_index: int
    name: str | None
    market_id: bytes | None
    data: dict[str, Any] | None
    wallet: str | None
    quarantine_reason: str | None
    commitment: str
    block_time: int | None
    sources: int
    first_seen_at: datetime


class EventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events to list; what is None or empty does not restrict them.

    Attributes:
        wallet: Address in base58.
        names: Names of the program's events.
        levels: Commitments.
        first_slot: Inclusive.
        last_slot: Inclusive.
    """

    market_id: bytes | None = None
    wallet: str | None = None
    names: tuple[str, ...] = ()
    levels: tuple[str, ...] = ("reported", "confirmed", "finalized")
    first_slot: int | None = None
    last_slot: int | None = None


def order(*, descending: bool) -> Order:
    """Return the chain's order; orphaned readings of one transaction stand beside each other."""
    return _order(_events, descending)


def _order(rows: FromClause, descending: bool) -> Order:
    index = func.coalesce(rows.c.index_in_block, literal_column(str(UNKNOWN_INDEX)))
    columns: list[tuple[str, ColumnElement[Any]]] = [
        ("slot", rows.c.slot),
        ("place_index", index),
        ("signature", rows.c.signature),
        ("log_index", rows.c.log_index),
        ("digest", rows.c.digest),
    ]
    return Order(
        "events-desc" if descending else "events-asc",
        tuple(KeyColumn(name, element, descending) for name, element in columns),
    )


def find_events(
    conn: Connection,
    wanted: EventFilter,
    *,
    descending: bool = True,
    after: Key | None = None,
    limit: int = 50,
    offset: int = 0,
) -> list[Event]:
    """Return a page of decoded events in the chain's order, newest first by default.

    Args:
        after: Key in ``order`` of the last event of the page before.
    """
    page = _page(wanted, order(descending=descending), after, limit, offset).subquery()
    return many(Event, conn.execute(_order(page, descending).sorted(_with_transactions(page))))


def events_of_transaction(conn: Connection, signature: bytes) -> list[Event]:
    """Return all event lines of a transaction's readings, quarantined ones included."""
    page = _select().where(_events.c.signature == signature).subquery()
    return many(
        Event,
        conn.execute(_with_transactions(page).order_by(page.c.log_index, page.c.first_seen_at)),
    )


def _select() -> Select[Any]:
    return select(
        _events.c.signature,
        _events.c.log_index,
        _events.c.digest,
        _events.c.slot,
        _events.c.index_in_block,
        func.coalesce(_events.c.index_in_block, UNKNOWN_INDEX).label("place_index"),
        _events.c.name,
        _events.c.market_id,
        _events.c.data,
        WALLET.label("wallet"),
        _events.c.quarantine_reason,
        _events.c.commitment,
        _events.c.first_seen_at,
    )


def _with_transactions(page: FromClause) -> Select[Any]:
    return select(page, _transactions.c.block_time, _transactions.c.sources).join(
        _transactions,
        (_transactions.c.signature == page.c.signature) & (_transactions.c.digest == page.c.digest),
    )


def _page(
    wanted: EventFilter, ordered: Order, after: Key | None, limit: int, offset: int
) -> Select[Any]:
    statement = _select().where(*_conditions(wanted))
    if not wanted.names:
        return ordered.page(statement, after=after, limit=limit, offset=offset)
    if wanted.wallet is not None:
        statement = statement.where(_events.c.name.in_(wanted.names))
        return ordered.page(statement, after=after, limit=limit, offset=offset)
    # One index range per name: together they are read to the page's end, however rare each is.
    # The names are part of the statement, so that the partial index applies whatever the plan.
    branches = [
        ordered.page(
            statement.where(_events.c.name == literal(name, Text, literal_execute=True)),
            after=after,
            limit=limit + offset,
        ).subquery()
        for name in wanted.names
    ]
    merged = union_all(*(select(branch) for branch in branches)).subquery()
    page = _order(merged, ordered.columns[0].descending).sorted(select(merged))
    return page.limit(limit).offset(offset)


def _conditions(wanted: EventFilter) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = [
        # Implied by the filter of names; it lets the wallet's index answer.
        _events.c.name.isnot(None),
        _events.c.commitment.in_(wanted.levels),
    ]
    if wanted.market_id is not None:
        where.append(_events.c.market_id == wanted.market_id)
    if wanted.wallet is not None:
        where.append(literal(wanted.wallet) == WALLET)
    if wanted.first_slot is not None:
        where.append(_events.c.slot >= wanted.first_slot)
    if wanted.last_slot is not None:
        where.append(_events.c.slot <= wanted.last_slot)
    return where


def first_slot_from(conn: Connection, seconds: int) -> int | None:
    """Return the first slot with a transaction whose block time is at or after ``seconds``."""
    return _slot(
        conn,
        _transactions.c.block_time >= seconds,
        [_transactions.c.block_time, _transactions.c.slot],
    )


def last_slot_until(conn: Connection, seconds: int) -> int | None:
    """Return the last slot with a transaction whose block time is at or before ``seconds``."""
    return _slot(
        conn,
        _transactions.c.block_time <= seconds,
        [_transactions.c.block_time.desc(), _transactions.c.slot.desc()],
    )


def _slot(
    conn: Connection, condition: ColumnElement[bool], ordered: Sequence[ColumnElement[Any]]
) -> int | None:
    statement = (
        select(_transactions.c.slot)
        .where(condition, _transactions.c.commitment != "orphaned")
        .order_by(*ordered)
        .limit(1)
    )
    return conn.execute(statement).scalar_one_or_none()


def block_time_until(conn: Connection, slot: int) -> int | None:
    """Return the block time of the last transaction that has one up to ``slot``."""
    statement = (
        select(_transactions.c.block_time)
        .where(
            _transactions.c.slot <= slot,
            _transactions.c.commitment != "orphaned",
            _transactions.c.block_time.isnot(None),
        )
        .order_by(_transactions.c.slot.desc())
        .limit(1)
    )
    return conn.execute(statement).scalar_one_or_none()
