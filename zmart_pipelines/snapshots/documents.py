"""The documents of a snapshot: canonical JSON, each of at most one block. Pure.

A document names the one before it by CID, across parts and across snapshots, so that whoever has
the newest can read the whole discussion backwards and knows that nothing was left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from zmart_pipelines import base58
from zmart_pipelines.client_schemas.formats import iso8601, iso8601_or_none
from zmart_pipelines.ipfs.canonical_json import NotCanonical, canonical_bytes, parse_canonical
from zmart_pipelines.ipfs.cid import MAX_BLOCK, cid_v0
from zmart_pipelines.store.queries.discussion_snapshots import ChangedComment

VERSION: Final = 1
# Bytes that a document needs beside its comments, at most.
_FRAME: Final = 1024
_MEMBERS: Final = frozenset(
    {"version", "market", "period", "part", "parts", "previous", "comments"}
)


class Period(msgspec.Struct, frozen=True):
    """What a snapshot covers: from ``start`` (None: the beginning) to before ``end``, UTC."""

    start: datetime | None
    end: datetime


class Document(msgspec.Struct, frozen=True):
    """One part of a snapshot.

    Attributes:
        part: From 1.
        parts: How many there are.
        cid: CIDv0 of ``data``.
        data: Canonical JSON (RFC 8785).
        comments: How many it holds.
    """

    part: int
    parts: int
    cid: str
    data: bytes
    comments: int


def documents(
    market_id: bytes,
    period: Period,
    previous: str | None,
    comments: Sequence[ChangedComment],
    *,
    max_bytes: int = MAX_BLOCK,
) -> list[Document]:
    """Return the documents of a market's snapshot, in order.

    Args:
        market_id: The market.
        period: When the comments changed.
        previous: CID of the last document of the snapshot before; None for the first.
        comments: In the order of their creation.
        max_bytes: Most bytes of a document.

    Raises:
        ValueError: One comment alone is larger than a document may be.
    """
    groups = list(_groups([_comment(one) for one in comments], max_bytes - _FRAME))
    made: list[Document] = []
    for part, group in enumerate(groups, 1):
        data = canonical_bytes(
            {
                "version": VERSION,
                "market": market_id.hex(),
                "period": {"from": iso8601_or_none(period.start), "to": iso8601(period.end)},
                "part": part,
                "parts": len(groups),
                "previous": previous,
                "comments": group,
            }
        )
        previous = cid_v0(data)
        made.append(Document(part, len(groups), previous, data, len(group)))
    return made


def market_of(data: bytes) -> bytes | None:
    """Return the id of the market whose discussion the bytes are; None where they are none."""
    try:
        content = parse_canonical(data)
        if isinstance(content, dict) and content.keys() == _MEMBERS:
            return bytes.fromhex(content["market"])
    except (NotCanonical, TypeError, ValueError):
        pass
    return None


def _groups(comments: Sequence[dict[str, Any]], most: int) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    size = 0
    for comment in comments:
        length = len(canonical_bytes(comment)) + 1
        if length > most:
            raise ValueError(f"comment {comment['id']} has {length} bytes of at most {most}")
        if group and size + length > most:
            yield group
            group, size = [], 0
        group.append(comment)
        size += length
    if group:
        yield group


def _comment(row: ChangedComment) -> dict[str, Any]:
    """Return a comment as documents have it; one that is withdrawn has no text."""
    return {
        "id": str(row.id),
        "parent": None if row.parent_id is None else str(row.parent_id),
        "wallet": base58.encode(row.wallet),
        "content": row.content,
        "signature": None if row.signature is None else base58.encode(row.signature),
        "created_at": iso8601(row.created_at),
        "edited_at": iso8601_or_none(row.edited_at),
        "deleted_at": iso8601_or_none(row.deleted_at),
        "hidden_at": iso8601_or_none(row.hidden_at),
    }
