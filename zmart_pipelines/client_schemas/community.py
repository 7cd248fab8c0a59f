"""Comments as clients read them."""

from __future__ import annotations

import msgspec

from zmart_pipelines.client_schemas.formats import base58_key, iso8601
from zmart_pipelines.store.queries import discussions


class Comment(msgspec.Struct, frozen=True, kw_only=True):
    """A comment under a market. `user` is an older name of `user_wallet`."""

    id: str
    market_id: str
    user_wallet: str
    user: str
    content: str
    created_at: str


def comment(row: discussions.Discussion) -> Comment:
    """Return a comment as clients read it."""
    wallet = base58_key(row.wallet)
    return Comment(
        id=str(row.id),
        market_id=row.market_id.hex(),
        user_wallet=wallet,
        user=wallet,
        content=row.content,
        created_at=iso8601(row.created_at),
    )
