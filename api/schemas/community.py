"""Comments as clients read them."""

from __future__ import annotations

import msgspec

from api.identifiers import base58_key
from api.schemas import common
from zmart_pipelines.store.queries import discussions


class Comment(msgspec.Struct, frozen=True, kw_only=True):
    """A comment under a market."""

    id: str
    market_id: str
    user_wallet: str
    user: str
    content: str
    created_at: str


def comment(row: discussions.Discussion) -> Comment:
    """A comment's row as clients read it."""
    wallet = base58_key(row.wallet)
    return Comment(
        id=str(row.id),
        market_id=row.market_id.hex(),
        user_wallet=wallet,
        user=wallet,
        content=row.content,
        created_at=common.iso(row.created_at),
    )
