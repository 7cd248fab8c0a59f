"""Comments and profiles as clients read them."""

from __future__ import annotations

import msgspec

from zmart_pipelines.client_schemas.formats import base58_key, iso8601, iso8601_or_none
from zmart_pipelines.store.queries import discussions, users


class Comment(msgspec.Struct, frozen=True, kw_only=True):
    """A comment under a market: a thread, or a reply to the thread `parent_id`.

    `content` is empty where it is deleted or hidden. `replies` counts those that are shown.
    `user_name` and `user_avatar` (a CID) are of the author's profile. `user` is an older name of
    `user_wallet`.
    """

    id: str
    market_id: str
    parent_id: str | None
    user_wallet: str
    user: str
    user_name: str | None
    user_avatar: str | None
    content: str
    up_votes: int
    replies: int
    is_deleted: bool
    is_hidden: bool
    created_at: str
    edited_at: str | None


def comment(row: discussions.Discussion) -> Comment:
    """Return a comment as clients read it."""
    wallet = base58_key(row.wallet)
    return Comment(
        id=str(row.id),
        market_id=row.market_id.hex(),
        parent_id=None if row.parent_id is None else str(row.parent_id),
        user_wallet=wallet,
        user=wallet,
        user_name=row.name,
        user_avatar=row.avatar_cid,
        content=row.content,
        up_votes=row.up_votes,
        replies=row.replies,
        is_deleted=row.deleted_at is not None,
        is_hidden=row.hidden_at is not None,
        created_at=iso8601(row.created_at),
        edited_at=iso8601_or_none(row.edited_at),
    )


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What a user says of himself; names are not unique. `joined_at` is the first write here."""

    wallet: str
    name: str | None
    bio: str | None
    avatar_cid: str | None
    joined_at: str | None


def profile(wallet: bytes, row: users.Profile | None) -> Profile:
    """Return a wallet's profile as clients read it; empty where it has not written here."""
    return Profile(
        wallet=base58_key(wallet),
        name=row.name if row else None,
        bio=row.bio if row else None,
        avatar_cid=row.avatar_cid if row else None,
        joined_at=iso8601(row.created_at) if row else None,
    )
