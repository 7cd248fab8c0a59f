"""Orders of operators: inserted by the API, carried out by the pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from zmart_pipelines.store.audit import Actor, ServiceActor, WalletActor
from zmart_pipelines.store.queries.keyset import Key, KeyColumn, Order
from zmart_pipelines.store.queries.row_mapping import many, one
from zmart_pipelines.store.tables.orders import orders

Status = Literal["requested", "accepted", "done", "failed"]
OPEN: Final[tuple[Status, ...]] = ("requested", "accepted")


class OrderRow(msgspec.Struct, frozen=True):
    """An order; ``wallet`` or ``service`` is who ordered."""

    id: int
    kind: str
    parameters: dict[str, Any]
    reason: str
    idempotency_key: str
    wallet: bytes | None
    service: str | None
    key_id: int | None
    status: Status
    result: str | None
    run_id: str | None
    attempts: int
    requested_at: datetime
    accepted_at: datetime | None
    ended_at: datetime | None

    @property
    def requester(self) -> WalletActor | ServiceActor:
        """Return who ordered it."""
        if self.wallet is not None:
            return WalletActor(self.wallet)
        return ServiceActor(self.service or "", self.key_id)


class NewOrder(msgspec.Struct, frozen=True):
    """What is ordered, by whom and why."""

    kind: str
    parameters: Mapping[str, Any]
    reason: str
    idempotency_key: str
    requester: Actor


NEWEST: Final = Order("orders", (KeyColumn("id", orders.c.id, True),))


def add(conn: Connection, new: NewOrder) -> OrderRow | None:
    """Insert an order; None where one has the key already, committed or not yet."""
    values = {
        "kind": new.kind,
        "parameters": dict(new.parameters),
        "reason": new.reason,
        "idempotency_key": new.idempotency_key,
        **msgspec.structs.asdict(new.requester),
    }
    row = conn.execute(
        insert(orders)
        .values(values)
        .on_conflict_do_nothing(index_elements=["idempotency_key"])
        .returning(orders)
    ).one_or_none()
    return None if row is None else one(OrderRow, row)


def by_key(conn: Connection, idempotency_key: str) -> OrderRow | None:
    """Return the order with this idempotency key."""
    found = select(orders).where(orders.c.idempotency_key == idempotency_key)
    row = conn.execute(found).one_or_none()
    return None if row is None else one(OrderRow, row)


def by_id(conn: Connection, order_id: int) -> OrderRow | None:
    """Return an order."""
    row = conn.execute(select(orders).where(orders.c.id == order_id)).one_or_none()
    return None if row is None else one(OrderRow, row)


def find_orders(
    conn: Connection,
    *,
    kind: str | None = None,
    status: str | None = None,
    after: Key | None = None,
    limit: int = 50,
    offset: int = 0,
) -> list[OrderRow]:
    """Return a page of orders, newest first.

    Args:
        after: Key in ``NEWEST`` of the last order of the page before.
    """
    statement = select(orders)
    if kind is not None:
        statement = statement.where(orders.c.kind == kind)
    if status is not None:
        statement = statement.where(orders.c.status == status)
    page = NEWEST.page(statement, after=after, limit=limit, offset=offset)
    return many(OrderRow, conn.execute(page))


def open_orders(conn: Connection, limit: int) -> list[OrderRow]:
    """Return the orders that have not ended, oldest first."""
    statement = select(orders).where(orders.c.status.in_(OPEN)).order_by(orders.c.id)
    return many(OrderRow, conn.execute(statement.limit(limit)))


def accept(conn: Connection, order_id: int, run_id: str) -> OrderRow | None:
    """Note that a run carries the order out; None where it has ended or does not exist."""
    now = func.clock_timestamp()
    row = conn.execute(
        update(orders)
        .where(orders.c.id == order_id, orders.c.status.in_(OPEN))
        .values(
            status="accepted",
            run_id=run_id,
            attempts=orders.c.attempts + 1,
            accepted_at=func.coalesce(orders.c.accepted_at, now),
        )
        .returning(orders)
    ).one_or_none()
    return None if row is None else one(OrderRow, row)


def lock_accepted(conn: Connection, order_id: int, run_id: str) -> bool:
    """Lock the order if this run is the one that carries it out, and return whether it is."""
    found = conn.execute(
        select(orders.c.id)
        .where(orders.c.id == order_id, orders.c.status == "accepted", orders.c.run_id == run_id)
        .with_for_update()
    ).one_or_none()
    return found is not None


def end(conn: Connection, order_id: int, status: Literal["done", "failed"], result: str) -> bool:
    """End an order that has not ended; return whether it had not."""
    now = func.clock_timestamp()
    done = conn.execute(
        update(orders)
        .where(orders.c.id == order_id, orders.c.status.in_(OPEN))
        .values(
            status=status,
            result=result,
            ended_at=now,
            accepted_at=func.coalesce(orders.c.accepted_at, now),
        )
    )
    return done.rowcount > 0
