"""A market before it is on chain: its document, its id, its row.

The document is canonical JSON; its CIDv0 goes into ``create_market`` as the question hash.
The id is made from creator, CID and a nonce, so that nobody else can create a market under
it with another question unnoticed.
"""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from datetime import UTC, datetime, timedelta

import msgspec
from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from api.errors import ApiError, invalid
from api.request_bodies import NewMarket
from zmart_pipelines.client_schemas import formats
from zmart_pipelines.ipfs.canonical_json import canonical_bytes, normalized_text
from zmart_pipelines.ipfs.cid import cid_v0
from zmart_pipelines.store.tables.community import market_drafts, users

_DOMAIN = b"zmart market"


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
    """The id of the market: SHA-256 over a fixed word, creator (32 bytes), CIDv0 and nonce."""
    return hashlib.sha256(_DOMAIN + creator + question_hash.encode() + nonce).digest()


def compose(
    body: NewMarket, creator: bytes, now: datetime, ttl: timedelta, idempotency_key: str | None
) -> Draft:
    """The draft that ``body`` asks for. The same idempotency key gives the same nonce, and
    so, for the same question, the same market.

    ApiError 400 names a field that does not do.
    """
    question = _plain("question", body.question)
    if not 10 <= len(question) <= 200:
        raise invalid("question", "must have 10 to 200 characters")
    description = _plain("description", body.description)
    if len(description) > 2000:
        raise invalid("description", "must have at most 2000 characters")
    tags = tuple(dict.fromkeys(_plain("tags", tag) for tag in body.tags))
    if "" in tags:
        raise invalid("tags", "must not be blank")
    ends_at = body.ends_at(now).replace(microsecond=0)
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
    nonce = (
        hashlib.sha256(idempotency_key.encode()).digest()[:16]
        if idempotency_key is not None
        else secrets.token_bytes(16)
    )
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


def _plain(field: str, text: str) -> str:
    """``text`` trimmed and in normal form C; control characters are refused."""
    plain = normalized_text(text)
    if any(unicodedata.category(char) == "Cc" and char not in "\n\t" for char in plain):
        raise invalid(field, "holds a control character")
    return plain


def touch_user(conn: Connection, wallet: bytes) -> None:
    """Know the wallet, and when it was last seen."""
    now = datetime.now(UTC)
    conn.execute(
        insert(users)
        .values(wallet=wallet)
        .on_conflict_do_update(index_elements=["wallet"], set_={"last_seen_at": now})
    )


def store(conn: Connection, draft: Draft) -> bool:
    """Write the draft; whether it is new. ApiError 409 where the same idempotency key
    belongs to another question of this creator.
    """
    touch_user(conn, draft.creator)
    values = msgspec.structs.asdict(draft) | {"tags": list(draft.tags)}
    added = conn.execute(
        insert(market_drafts)
        .values(values)
        .on_conflict_do_nothing()
        .returning(market_drafts.c.market_id)
    ).scalar()
    if added is not None:
        return True
    same = conn.execute(
        select(market_drafts.c.market_id).where(market_drafts.c.market_id == draft.market_id)
    ).scalar()
    if same is None:
        raise ApiError(409, "Idempotency-Key was used for another market; take a new one")
    return False
