"""Drafts and documents of a wallet; row-level security shows them to it alone."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, func, select, update
from sqlalchemy.dialects.postgresql import insert

from zmart_pipelines.store.queries.keyset import Key, KeyColumn, Order
from zmart_pipelines.store.queries.row_mapping import many, one
from zmart_pipelines.store.tables.community import documents, market_drafts

_drafts = market_drafts


class StoredDraft(msgspec.Struct, frozen=True):
    """The current version of a draft.

    Attributes:
        draft_id: The same for all versions.
        market_id: Of the market that this version makes.
        evidence: CIDv0s of documents.
        matched_at: When its market was seen on chain.
        b_parameter: 9 decimals; None for drafts of older versions of this product.
        initial_liquidity: Lamports, likewise.
    """

    draft_id: UUID
    market_id: bytes
    creator: bytes
    question_hash: str
    question: str
    description: str
    category: str
    tags: list[str]
    evidence: list[str]
    ends_at: datetime
    created_at: datetime
    expires_at: datetime
    matched_at: datetime | None
    b_parameter: int | None
    initial_liquidity: int | None


_COLUMNS: Final = [_drafts.c[name] for name in StoredDraft.__struct_fields__]
_IS_CURRENT: Final = and_(_drafts.c.replaced_at.is_(None), _drafts.c.withdrawn_at.is_(None))

# Newest first.
ORDER: Final = Order(
    "drafts",
    (
        KeyColumn("created_at", _drafts.c.created_at, descending=True),
        KeyColumn("market_id", _drafts.c.market_id, descending=True),
    ),
)


def drafts_of(
    conn: Connection, wallet: bytes, *, limit: int = 50, offset: int = 0, after: Key | None = None
) -> list[StoredDraft]:
    """Return a page of a wallet's drafts in ``ORDER``."""
    statement = select(*_COLUMNS).where(_drafts.c.creator == wallet, _IS_CURRENT)
    page = ORDER.page(statement, after=after, limit=limit, offset=offset)
    return many(StoredDraft, conn.execute(page))


def find_draft(conn: Connection, wallet: bytes, draft_id: UUID) -> StoredDraft | None:
    """Return a wallet's draft; None where it has none with this id."""
    return _find(conn, _current(wallet, draft_id))


def find_version(conn: Connection, wallet: bytes, market_id: bytes) -> StoredDraft | None:
    """Return the version of a wallet's draft that makes this market, current or not."""
    return _find(conn, and_(_drafts.c.market_id == market_id, _drafts.c.creator == wallet))


def mark_replaced(conn: Connection, wallet: bytes, draft_id: UUID) -> bool:
    """Give up a draft's version for another; False where there is none, or its market exists."""
    return _end(conn, wallet, draft_id, {"replaced_at": func.now()})


def withdraw(conn: Connection, wallet: bytes, draft_id: UUID) -> bool:
    """Delete a draft, likewise; its row stays until it expires."""
    return _end(conn, wallet, draft_id, {"withdrawn_at": func.now()})


def add_document(conn: Connection, wallet: bytes, cid: str, media_type: str, size: int) -> None:
    """Note that a wallet had a file pinned; ``size`` in bytes."""
    values = {"wallet": wallet, "cid": cid, "media_type": media_type, "size": size}
    conn.execute(insert(documents).values(values).on_conflict_do_nothing())


def has_documents(conn: Connection, wallet: bytes, cids: Collection[str]) -> bool:
    """Return whether the wallet uploaded all of these files."""
    found = select(documents.c.cid).where(documents.c.wallet == wallet, documents.c.cid.in_(cids))
    return set(conn.execute(found).scalars()) == set(cids)


def is_document(conn: Connection, cid: str) -> bool:
    """Return whether any wallet uploaded this file."""
    return bool(conn.execute(select(func.community.is_document(cid))).scalar_one())


def _current(wallet: bytes, draft_id: UUID) -> ColumnElement[bool]:
    return and_(_drafts.c.draft_id == draft_id, _drafts.c.creator == wallet, _IS_CURRENT)


def _find(conn: Connection, condition: ColumnElement[bool]) -> StoredDraft | None:
    row = conn.execute(select(*_COLUMNS).where(condition)).one_or_none()
    return None if row is None else one(StoredDraft, row)


def _end(conn: Connection, wallet: bytes, draft_id: UUID, values: dict[str, Any]) -> bool:
    ended = update(_drafts).where(_current(wallet, draft_id), _drafts.c.matched_at.is_(None))
    return conn.execute(ended.values(values)).rowcount > 0
