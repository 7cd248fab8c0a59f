"""Keys of services that call the API: created and revoked by the owner, read by the API."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime

import msgspec
from sqlalchemy import Connection, func, insert, or_, select, update

from zmart_pipelines.store.queries.row_mapping import many
from zmart_pipelines.store.tables import ops

_keys = ops.api_keys


class StoredKey(msgspec.Struct, frozen=True):
    """A key without its hash; ``wallet`` has 32 bytes, None where it is a service's."""

    id: int
    name: str
    prefix: str
    scopes: list[str]
    wallet: bytes | None
    created_at: datetime
    revoked_at: datetime | None
    last_used_on: date | None


class AcceptedKey(msgspec.Struct, frozen=True):
    """A key that is not revoked, as the API needs it; ``hash`` and ``wallet`` have 32 bytes."""

    id: int
    name: str
    hash: bytes
    scopes: list[str]
    wallet: bytes | None
    last_used_on: date | None


def accepted_keys(conn: Connection) -> list[AcceptedKey]:
    """Return the keys that are not revoked."""
    columns = [_keys.c[name] for name in AcceptedKey.__struct_fields__]
    return many(AcceptedKey, conn.execute(select(*columns).where(_keys.c.revoked_at.is_(None))))


def stored_keys(conn: Connection) -> list[StoredKey]:
    """Return all keys, the oldest first."""
    columns = [_keys.c[name] for name in StoredKey.__struct_fields__]
    return many(StoredKey, conn.execute(select(*columns).order_by(_keys.c.id)))


def create_key(
    conn: Connection,
    *,
    name: str,
    prefix: str,
    key_hash: bytes,
    scopes: Collection[str],
    wallet: bytes | None = None,
) -> None:
    """Store a new key.

    Raises:
        IntegrityError: A key of that name is accepted already.
    """
    conn.execute(
        insert(_keys).values(
            name=name,
            prefix=prefix,
            hash=key_hash,
            scopes=sorted(set(scopes)),
            wallet=wallet,
        )
    )


def revoke_key(conn: Connection, name: str) -> bool:
    """Revoke the key of that name; return whether there was one that was not revoked."""
    done = conn.execute(
        update(_keys)
        .where(_keys.c.name == name, _keys.c.revoked_at.is_(None))
        .values(revoked_at=func.now())
    )
    return done.rowcount > 0


def note_use(conn: Connection, key_id: int, day: date) -> None:
    """Note that the key was used on that day (UTC)."""
    conn.execute(
        update(_keys)
        .where(
            _keys.c.id == key_id, or_(_keys.c.last_used_on.is_(None), _keys.c.last_used_on < day)
        )
        .values(last_used_on=day)
    )
