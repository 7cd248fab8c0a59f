"""Market drafts: the document, id and row of a market before it is on chain.

The document is canonical JSON; its CIDv0 goes into ``create_market`` as the question hash.
The id is derived from creator, CID and a nonce, so that another wallet cannot create a
market with this id and another question unnoticed.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from api.error_codes import ErrorCode
from api.errors import ApiError
from api.requests import user_text
from api.requests.bodies import NewMarket, market_end
from zmart_pipelines.client_schemas import formats
from zmart_pipelines.ipfs.canonical_json import canonical_bytes
from zmart_pipelines.ipfs.cid import cid_v0
from zmart_pipelines.store.queries.users import upsert_user
from zmart_pipelines.store.tables.community import market_drafts

_ID_PREFIX = b"zmart market"


class Draft(msgspec.Struct, frozen=True):
    """One row of ``community.market_drafts``."""

    market_id: bytes
    creator: bytes
    nonce: bytes
    question_hash: str
    document: bytes
    question: str
    description: str
    category: str
    tags: tuple[str, ...]
    ends_at: datetime
    created_at: datetime
    expires_at: datetime


def market_id(creator: bytes, question_hash: str, nonce: bytes) -> bytes:
    """Return the market's id: SHA-256 over a fixed prefix, creator (32 bytes), CIDv0 and nonce."""
    return hashlib.sha256(_ID_PREFIX + creator + question_hash.encode() + nonce).digest()


def compose_draft(
    body: NewMarket, creator: bytes, now: datetime, ttl: timedelta, request_key: bytes
) -> Draft:
    """Return the draft that ``body`` describes.

    The same ``request_key`` (Idempotency-Key, or the request's signature) gives the same nonce
    and so, for the same question, the same market.

    Raises:
        ApiError: 400 naming an invalid field.
    """
    question = user_text.question(body.question)
    description = user_text.description(body.description)
    tags = user_text.tags(body.tags)
    ends_at = market_end(body.end_date, now).replace(microsecond=0)
    document = canonical_bytes(
        {
            "category": body.category,
            "creator": formats.base58_key(creator),
            "description": description,
            "ends_at": ends_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "question": question,
            "tags": list(tags),
        }
    )
    question_hash = cid_v0(document)
    nonce = hashlib.sha256(request_key).digest()[:16]
    return Draft(
        market_id=market_id(creator, question_hash, nonce),
        creator=creator,
        nonce=nonce,
        question_hash=question_hash,
        document=document,
        question=question,
        description=description,
        category=body.category,
        tags=tags,
        ends_at=ends_at,
        created_at=now,
        expires_at=now + ttl,
    )


def store_draft(conn: Connection, draft: Draft) -> bool:
    """Insert the draft and return whether it is new.

    Raises:
        ApiError: 409 where the creator used the same idempotency key for another question.
    """
    upsert_user(conn, draft.creator)
    values = msgspec.structs.asdict(draft) | {"tags": list(draft.tags)}
    added = conn.execute(
        insert(market_drafts)
        .values(values)
        .on_conflict_do_nothing()
        .returning(market_drafts.c.market_id)
    ).scalar()
    if added is not None:
        return True
    existing = conn.execute(
        select(market_drafts.c.market_id).where(market_drafts.c.market_id == draft.market_id)
    ).scalar()
    if existing is None:
        raise ApiError(
            409,
            "Idempotency-Key was already used for another market; send a new key",
            code=ErrorCode.IDEMPOTENCY_KEY_USED,
        )
    return False
