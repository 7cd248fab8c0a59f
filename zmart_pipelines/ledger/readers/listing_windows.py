"""Long listings in windows of bounded size, the oldest first.

A node lists the newest first, and the projection folds forward. So the listing is walked to
its end once, keeping only anchors where it can be entered again; then each window is listed
by itself. Memory use does not grow with the length of the history.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec
from solders.pubkey import Pubkey

from zmart_pipelines.chain.jsonrpc import RpcUnavailable
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.rpc_types import SignatureInfo
from zmart_pipelines.chain.signature_listing import (
    ContradictoryListing,
    ListingAnchor,
    combined,
    iter_pages,
)
from zmart_pipelines.ledger.readers.rpc_reader import in_chain_order, list_window

# A page has up to a thousand signatures.
PAGES_PER_WINDOW: Final = 5


class ListingWindow(msgspec.Struct, frozen=True):
    """A range of slots, both inclusive, and all its signatures in the chain's order."""

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
    check: Callable[[ListingWindow], None] = lambda _: None,
) -> Iterator[ListingWindow]:
    """Yield adjacent windows of a range of finalized slots, from the oldest to the newest.

    They begin at ``first_slot``, or where the history begins if that is later: a node does not
    list history that it has pruned, so a listing proves nothing about it, and another node is
    asked for it. Nothing is yielded if every node has pruned all of the range.

    Args:
        tip: the node's finalized slot; a node that is behind it is refused.
        anchor: where to begin, above ``last_slot``, instead of at the tip.
        check: raises ContradictoryListing for a window that cannot be complete; the next node
            is asked then.

    Raises:
        RpcUnavailable: no node could list all of it; what was yielded before is proved.
    """
    failures: list[RpcUnavailable] = []
    # The windows of nodes whose history begins after the range does.
    pruned: list[tuple[ListingWindow, Iterator[ListingWindow]]] = []
    for pinned in rpc.pinned_in_turn():
        windows = _windows_of_one_node(
            pinned, program, first_slot, last_slot, tip, page_size, anchor
        )
        try:
            oldest = next(windows, None)
            if oldest is None:
                continue
            if oldest.first_slot > first_slot:
                pruned.append((oldest, windows))
                continue
            for window in itertools.chain([oldest], windows):
                check(window)
                first_slot = window.last_slot + 1
                yield window
        except RpcUnavailable as error:
            # The next node continues after the last window; each window is of one node.
            failures.append(error)
        else:
            return
    if pruned:
        oldest, newer = min(pruned, key=lambda listing: listing[0].first_slot)
        for window in itertools.chain([oldest], newer):
            check(window)
            yield window
    elif failures:
        raise combined(failures)


def _windows_of_one_node(
    rpc: RpcClient,
    program: Pubkey,
    first_slot: int,
    last_slot: int,
    tip: int,
    page_size: int,
    anchor: ListingAnchor | None,
) -> Iterator[ListingWindow]:
    """Yield the windows as one node lists them.

    Pages and the start of the history are a proof only if the same node returned them.
    """
    if first_slot > last_slot:
        return
    oldest, newer = _walk_listing(
        rpc, program, first_slot, last_slot, tip=tip, page_size=page_size, anchor=anchor
    )
    history_start = oldest.first_slot
    if history_start <= oldest.last_slot:
        yield oldest
    del oldest  # its rows are not needed any longer
    for place in reversed(newer):
        first = max(place.first_slot, history_start)
        if first > place.last_slot:
            continue
        listed = list_window(
            rpc,
            program,
            first_slot=first,
            last_slot=place.last_slot,
            commitment="finalized",
            min_context_slot=tip,
            page_size=page_size,
            anchor=place.anchor,
        )
        if not listed.reached and first == place.first_slot:
            names = ", ".join(rpc.endpoints)
            raise ContradictoryListing(
                f"getSignaturesForAddress: {names}: the history ends above slot {first}, below "
                "which it was listed before"
            )
        yield ListingWindow(first, place.last_slot, listed.rows)


class _WindowPlace(NamedTuple):
    """A window that was walked over, and the anchor from which it can be listed again."""

    anchor: ListingAnchor | None
    first_slot: int
    last_slot: int


def _walk_listing(
    rpc: RpcClient,
    program: Pubkey,
    first_slot: int,
    last_slot: int,
    *,
    tip: int,
    page_size: int,
    anchor: ListingAnchor | None,
) -> tuple[ListingWindow, list[_WindowPlace]]:
    """List down to ``first_slot`` or the start of the node's history.

    Returns:
        The oldest window, empty if its first slot is after its last one, and the places of
        the newer windows, the newest first.
    """
    found: dict[bytes, SignatureInfo] = {}
    newer: list[_WindowPlace] = []
    start, top, pages = anchor, last_slot, 0
    listing = iter_pages(
        rpc,
        program,
        first_slot=first_slot,
        commitment="finalized",
        page_size=page_size,
        min_context_slot=tip,
        anchor=anchor,
    )
    reached = False
    for page in listing:
        found |= {row.signature: row for row in page.rows if first_slot <= row.slot <= top}
        reached = page.is_last
        if reached:
            break
        pages += 1
        edge = page.next.slot
        if edge is not None and edge > top:
            start, pages = page.next, 0
        elif edge is not None and pages >= PAGES_PER_WINDOW and edge < top:
            newer.append(_WindowPlace(start, edge + 1, top))
            start, top, pages = page.next, edge, 0
            found = {signature: row for signature, row in found.items() if row.slot <= edge}
    if not reached:
        first_slot = max(first_slot, rpc.first_available_block())
    rows = in_chain_order(row for row in found.values() if row.slot >= first_slot)
    return ListingWindow(first_slot, top, rows), newer
