"""Users and what they say of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec
from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from zmart_pipelines.store.queries.row_mapping import one
from zmart_pipelines.store.tables.community import users


class Profile(msgspec.Struct, frozen=True):
    """A user's profile; ``avatar_cid`` is a CIDv0."""

    wallet: bytes
    name: str | None
    bio: str | None
    avatar_cid: str | None
    created_at: datetime


def upsert_user(conn: Connection, wallet: bytes) -> None:
    """Insert the wallet as a user, or update when it was last seen."""
    conn.execute(
        insert(users)
        .values(wallet=wallet)
        .on_conflict_do_update(index_elements=["wallet"], set_={"last_seen_at": func.now()})
    )


def find_profile(conn: Connection, wallet: bytes) -> Profile | None:
    """Return the profile of a wallet that has written here; None for another."""
    columns = [users.c[name] for name in Profile.__struct_fields__]
    row = conn.execute(select(*columns).where(users.c.wallet == wallet)).one_or_none()
    return None if row is None else one(Profile, row)


def change_profile(conn: Connection, wallet: bytes, values: Mapping[str, str | None]) -> None:
    """Change the profile of a user."""
    if values:
        conn.execute(update(users).where(users.c.wallet == wallet).values(**values))
