"""Tickets by which sockets sign in, and whether what they stand for still holds."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy import ARRAY, BigInteger, Connection, Uuid, bindparam, func, insert, text

from zmart_pipelines.store.queries.row_mapping import one
from zmart_pipelines.store.tables.accounts import realtime_tickets as _tickets


class Holder(msgspec.Struct, frozen=True):
    """Who asked for a ticket.

    Attributes:
        wallet: The wallet that signed in, or that the key belongs to; None: an operator's key.
        session: The wallet's session; None: a key asked.
        service: Name of the service whose key the request carried.
        key_id: Its key; None also for the key of the settings.
        is_operator: Whether operators' acts were permitted.
    """

    wallet: bytes | None
    session: UUID | None
    service: str | None
    key_id: int | None
    is_operator: bool


def add_ticket(conn: Connection, ticket_hash: bytes, holder: Holder, lifetime: timedelta) -> None:
    """Store a ticket, in a transaction that acts as its holder."""
    values = msgspec.structs.asdict(holder)
    conn.execute(
        insert(_tickets).values(hash=ticket_hash, expires_at=func.now() + lifetime, **values)
    )


_REDEEM: Final = text("SELECT * FROM accounts.redeem_ticket(:hash)")


def redeem_ticket(conn: Connection, ticket_hash: bytes) -> Holder | None:
    """Use a ticket up and return its holder.

    None where there is none of this hash, it has expired, or its session or key has ended.
    """
    row = conn.execute(_REDEEM, {"hash": ticket_hash}).one_or_none()
    return None if row is None else one(Holder, row)


_LIVE_SESSIONS: Final = text("SELECT accounts.live_sessions_among(:ids)").bindparams(
    bindparam("ids", type_=ARRAY(Uuid))
)
_ACCEPTED_KEYS: Final = text(
    "SELECT id FROM ops.api_keys WHERE id = ANY(:ids) AND revoked_at IS NULL"
).bindparams(bindparam("ids", type_=ARRAY(BigInteger)))


def live_sessions_among(conn: Connection, ids: Collection[UUID]) -> set[UUID]:
    """Return those of these sessions, whoever's, that have neither ended nor expired."""
    return set(conn.execute(_LIVE_SESSIONS, {"ids": list(ids)}).scalars())


def accepted_keys_among(conn: Connection, ids: Collection[int]) -> set[int]:
    """Return those of these services' keys that are not revoked."""
    return set(conn.execute(_ACCEPTED_KEYS, {"ids": list(ids)}).scalars())
