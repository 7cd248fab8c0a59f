"""Whether stored snapshots are whole: each file has its CID, and names the one before. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

import msgspec

from zmart_pipelines.ipfs.canonical_json import NotCanonical, parse_canonical
from zmart_pipelines.ipfs.cid import cid_v0
from zmart_pipelines.store.queries.discussion_snapshots import StoredDocument


class BrokenLink(msgspec.Struct, frozen=True):
    """A file that is not what its row or the file after it says."""

    market_id: bytes
    day: date
    part: int
    reason: str


def broken_links(documents: Iterable[StoredDocument]) -> Iterator[BrokenLink]:
    """Yield what is wrong.

    Args:
        documents: By market, each market's in the order in which they name each other. The first
            of a market may name one that is no longer kept.
    """
    before: StoredDocument | None = None
    for row in documents:
        follows = before is not None and before.market_id == row.market_id
        reason = _fault(row, before.cid if before is not None and follows else None)
        if reason is not None:
            yield BrokenLink(row.market_id, row.day, row.part, reason)
        before = row


def _fault(row: StoredDocument, previous: str | None) -> str | None:
    found = cid_v0(row.document)
    if found != row.cid:
        return f"its bytes have the CID {found} instead of {row.cid}"
    try:
        content = parse_canonical(row.document)
    except NotCanonical as error:
        return str(error)
    if content["market"] != row.market_id.hex():
        return f"it is of market {content['market']}"
    if previous is not None and content["previous"] != previous:
        return f"it names {content['previous']} instead of {previous}"
    return None
