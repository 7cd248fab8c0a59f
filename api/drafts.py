"""Market drafts: the document, id and row of a market before it is on chain.

The document is canonical JSON; its CIDv0 goes into ``create_market`` as the question hash.
The id is derived from creator, CID and a nonce, so that another wallet cannot create a
market with this id and another question unnoticed.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert

from api.error_codes import ErrorCode
from api.errors import ApiError, invalid, not_found
from api.requests import user_text
from api.requests.bodies import NewMarket, market_end
from zmart_pipelines.client_schemas import formats
from zmart_pipelines.ipfs.canonical_json import canonical_bytes
from zmart_pipelines.ipfs.cid import cid_v0
from zmart_pipelines.program.lmsr import b_for_loss
from zmart_pipelines.store.locks import lock_pinned_file
from zmart_pipelines.store.queries import drafts
from zmart_pipelines.store.queries.drafts import StoredDraft
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
    b_parameter: int
    initial_liquidity: int
    evidence: tuple[str, ...]


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
    evidence = tuple(dict.fromkeys(body.evidence))
    document = canonical_bytes(
        {
            "category": body.category,
            "creator": formats.base58_key(creator),
            "description": description,
            "ends_at": ends_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "question": question,
            "tags": list(tags),
            **({"evidence": list(evidence)} if evidence else {}),
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
        b_parameter=body.b_parameter or b_for_loss(body.liquidity),
        initial_liquidity=body.liquidity,
        evidence=evidence,
    )


def store_draft(conn: Connection, draft: Draft, replaced: UUID | None = None) -> StoredDraft:
    """Insert the draft, unless it is stored already, and return it.

    Args:
        conn: The transaction.
        draft: A new draft, or a new version of one.
        replaced: The draft whose version it replaces.

    Raises:
        ApiError: 409 where the creator used the same idempotency key for another question, or the
            replaced draft's market exists; 404 where there is no such draft; 400 where evidence
            is not a document of the creator.
    """
    existing = drafts.find_version(conn, draft.creator, draft.market_id)
    if existing is not None:
        return existing
    if replaced is not None:
        _require_unmatched(conn, draft.creator, replaced)
        if not drafts.mark_replaced(conn, draft.creator, replaced):
            raise not_found("Draft")
    if draft.evidence and not drafts.has_documents(conn, draft.creator, draft.evidence):
        raise invalid("evidence", "must be documents that this wallet uploaded")
    upsert_user(conn, draft.creator)
    lock_pinned_file(conn, draft.question_hash)
    values = msgspec.structs.asdict(draft)
    values |= {"tags": list(draft.tags), "evidence": list(draft.evidence)}
    if replaced is not None:
        values["draft_id"] = replaced
    conn.execute(insert(market_drafts).values(values).on_conflict_do_nothing())
    stored = drafts.find_version(conn, draft.creator, draft.market_id)
    if stored is None:
        raise ApiError(
            409,
            "Idempotency-Key was already used for another market; send a new key",
            code=ErrorCode.IDEMPOTENCY_KEY_USED,
        )
    return stored


def withdraw_draft(conn: Connection, wallet: bytes, draft_id: UUID) -> None:
    """Delete a wallet's draft.

    Raises:
        ApiError: 404 where it has none with this id, 409 where its market exists.
    """
    _require_unmatched(conn, wallet, draft_id)
    if not drafts.withdraw(conn, wallet, draft_id):
        raise not_found("Draft")


def require_draft(conn: Connection, wallet: bytes, draft_id: UUID) -> StoredDraft:
    """Return a wallet's draft; raise ApiError 404 where it has none with this id."""
    found = drafts.find_draft(conn, wallet, draft_id)
    if found is None:
        raise not_found("Draft")
    return found


def _require_unmatched(conn: Connection, wallet: bytes, draft_id: UUID) -> None:
    if require_draft(conn, wallet, draft_id).matched_at is not None:
        raise ApiError(409, "The draft's market exists on chain")
