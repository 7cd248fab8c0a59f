"""What writes were answered, by wallet and idempotency key."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, insert, select

from zmart_pipelines.store.queries.row_mapping import one
from zmart_pipelines.store.tables.community import idempotency_keys

_keys = idempotency_keys


class StoredAnswer(msgspec.Struct, frozen=True):
    """An answer in JSON, and the digest (32 bytes) of the request that got it."""

    digest: bytes
    answer: bytes


def find_answer(conn: Connection, wallet: bytes, key: str) -> StoredAnswer | None:
    """Return what the wallet's request with this key was answered; None where there was none."""
    found = select(_keys.c.digest, _keys.c.answer).where(
        _keys.c.wallet == wallet, _keys.c.key == key
    )
    row = conn.execute(found).one_or_none()
    return None if row is None else one(StoredAnswer, row)


def store_answer(
    conn: Connection, wallet: bytes, key: str, *, digest: bytes, answer: bytes
) -> None:
    """Store what the request with this key is answered."""
    conn.execute(insert(_keys).values(wallet=wallet, key=key, digest=digest, answer=answer))
