"""Long listings in windows of bounded size, the oldest first.

A node lists the newest first, and the projection folds forward. So the listing is walked to
its end once and only the places are kept where it can be entered again; then each window is
listed by itself. What is in memory does not grow with the length of the history.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from solders.pubkey import Pubkey

from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.rpc_types import SignatureInfo
from zmart_pipelines.ledger.readers.rpc_reader import (
    ListingAnchor,
    in_chain_order,
    list_page,
    list_window,
    next_anchor,
)

# Of one window; the pages are of up to a thousand signatures.
PAGES_PER_WINDOW: Final = 5


class ListingWindow(msgspec.Struct, frozen=True):
    """A range of slots, both inclusive, and every signature of it in the chain's order."""

    first_slot: int
    last_slot: int
    rows: Sequence[SignatureInfo]


def iter_windows(
    rpc: RpcClient,
    program: Pubkey,
    *,
    first_slot: int,
    last_slot: int,
    tip: int,
    page_size: int,
    anchor: ListingAnchor | None = None,
) -> Iterator[ListingWindow]:
    """The windows of a range of finalized slots, touching, from the oldest to the newest.

    They begin at ``first_slot``, or where the node's history begins if that is later: what a
    node has forgotten it does not list, which proves nothing. Nothing is yielded where all of
    the range is forgotten.

    :param tip: the node's finalized slot; a node that is not as far is refused.
    :param anchor: begins there, above ``last_slot``, instead of at the tip.
    """
    # Pages and where the history begins are one proof only when one node said them.
    rpc = rpc.pinned()
    found: dict[bytes, SignatureInfo] = {}
    newer: list[tuple[ListingAnchor | None, int, int]] = []
    start, top, pages = anchor, last_slot, 0
    while True:
        page = list_page(
            rpc,
            program,
            anchor,
            commitment="finalized",
            min_context_slot=tip,
            page_size=page_size,
        )
        found |= {row.signature: row for row in page if first_slot <= row.slot <= top}
        if len(page) < page_size or page[-1].slot < first_slot:
            break
        anchor, pages = next_anchor(page), pages + 1
        edge = anchor.slot
        if edge is not None and edge > top:
            start, pages = anchor, 0
        elif edge is not None and pages >= PAGES_PER_WINDOW and edge < top:
            newer.append((start, edge + 1, top))
            start, top, pages = anchor, edge, 0
            found = {one: row for one, row in found.items() if row.slot <= edge}
    if not page or page[-1].slot >= first_slot:
        first_slot = max(first_slot, rpc.first_available_block())
    rows = in_chain_order(row for row in found.values() if row.slot >= first_slot)
    found.clear()
    if first_slot <= top:
        yield ListingWindow(first_slot, top, rows)
    for place, first, last in reversed(newer):
        if first_slot > last:
            continue
        rows, _ = list_window(
            rpc,
            program,
            first_slot=max(first, first_slot),
            last_slot=last,
            commitment="finalized",
            min_context_slot=tip,
            page_size=page_size,
            anchor=place,
        )
        yield ListingWindow(max(first, first_slot), last, rows)
