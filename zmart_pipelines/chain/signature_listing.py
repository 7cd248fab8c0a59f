"""The one pager of signature listings (``getSignaturesForAddress``).

A node may return fewer rows than it was asked for, answer from its own storage only, or ignore
where a page is to begin. So a page that is not full ends nothing. A listing ends with a row that
is older than what is asked for, or where the node has nothing more below its oldest row; each
page must follow the one before it, and get further. What does not is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal, NamedTuple, TypeVar

from solders.pubkey import Pubkey

from zmart_pipelines.chain.jsonrpc import RateLimited, RpcUnavailable
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.rpc_types import SignatureInfo

T = TypeVar("T")

# Pages in a row that may belong to one slot. A slot has at most a few thousand transactions.
MAX_PAGES_OF_A_SLOT: Final = 1000
# Full pages in a row that may hold nothing new, which happens where the order in a slot changes.
MAX_REPEATED_PAGES: Final = 100


class ContradictoryListing(RpcUnavailable):
    """A node's listing contradicts itself; another node may do better, or the same one later."""


class ListingAnchor(NamedTuple):
    """Where a listing continues, or begins below the tip.

    For a signature that it does not know, a node returns an empty page and no error. So an
    anchor also names what must follow.

    Attributes:
        before: the listing begins with the transaction before this signature.
        slot: at least one of the next rows is of this slot or later; None if nothing is known
            about them.
    """

    before: bytes
    slot: int | None


class ListedPage(NamedTuple):
    """A page with rows that the pages before it did not have.

    Attributes:
        rows: newest first; the last complete slot of the page before is repeated.
        next: where the next page begins.
        is_last: whether the page reaches below the first slot that is asked for.
    """

    rows: Sequence[SignatureInfo]
    next: ListingAnchor
    is_last: bool


def iter_pages(
    rpc: RpcClient,
    address: Pubkey,
    *,
    first_slot: int,
    commitment: Literal["confirmed", "finalized"],
    page_size: int,
    min_context_slot: int | None = None,
    anchor: ListingAnchor | None = None,
) -> Iterator[ListedPage]:
    """Yield the pages of a listing, newest first.

    The last page reaches below ``first_slot`` (``is_last``); otherwise the node's history ended
    before. Every page repeats the last complete slot of the page before, since nodes do not
    promise an order inside a slot.

    Args:
        rpc: a pinned client, so that all pages are of one node.
        min_context_slot: a node that is behind this slot is refused.
        anchor: where to begin instead of at the tip.

    Raises:
        ContradictoryListing: a page lacks what must follow, begins above the page before it, is
            not in order, or the listing does not get further.
    """
    progress = _Progress(rpc, anchor)
    while True:
        page = rpc.signatures_for_address(
            address,
            before=None if anchor is None else anchor.before,
            limit=page_size,
            commitment=commitment,
            min_context_slot=min_context_slot,
        )
        if progress.accept(page, anchor):
            following = _next_anchor(page)
            is_last = page[-1].slot < first_slot
            yield ListedPage(page, following, is_last)
            if is_last:
                return
            anchor = following
        elif progress.has_ended(anchor):
            return
        else:
            anchor = progress.next_attempt(page)


def _next_anchor(page: Sequence[SignatureInfo]) -> ListingAnchor:
    """Return where the next page begins: after the last slot that is certainly complete."""
    edge = page[-1].slot
    complete = [row for row in page if row.slot > edge]
    if complete:
        return ListingAnchor(complete[-1].signature, edge)
    return ListingAnchor(page[-1].signature, None)


class _Progress:
    """Checks that each page of one listing follows the page before it and gets further."""

    def __init__(self, rpc: RpcClient, anchor: ListingAnchor | None) -> None:
        self._rpc = rpc
        self._given = anchor
        # The slot of the transaction that the next page is asked to begin before.
        self._ceiling: int | None = None
        self._oldest: SignatureInfo | None = None
        # Rows that may be repeated.
        self._seen: dict[bytes, int] = {}
        self._pages_of_slot = 0
        self._pages_without_news = 0
        self._repeated_pages = 0
        self._longest_page = 0

    def accept(self, page: Sequence[SignatureInfo], anchor: ListingAnchor | None) -> bool:
        """Check a page; return whether it has any row that no page before it had."""
        promised = None if anchor is None else anchor.slot
        if promised is not None and (not page or page[0].slot < promised):
            self._refuse("the page lacks signatures that were listed before")
        ceiling = self._ceiling
        for row in page:
            if ceiling is not None and row.slot > ceiling:
                self._refuse(f"slot {row.slot} is listed below slot {ceiling}")
            ceiling = row.slot
        if all(row.signature in self._seen for row in page):
            self._pages_without_news += 1
            return False
        self._pages_without_news = self._repeated_pages = 0
        self._longest_page = max(self._longest_page, len(page))
        self._count_pages_of_slot(page[-1].slot)
        self._oldest = page[-1]
        above = [row.slot for row in page if row.slot > page[-1].slot]
        self._ceiling = above[-1] if above else page[-1].slot
        self._seen |= {row.signature: row.slot for row in page}
        self._seen = {key: slot for key, slot in self._seen.items() if slot <= self._ceiling}
        return True

    def has_ended(self, anchor: ListingAnchor | None) -> bool:
        """Return whether pages without news prove the end of the node's history.

        One is never enough: the node may have answered it from a part of its storage. There
        must be two in a row, the second below the oldest row itself.
        """
        if self._pages_without_news < 2:
            return False
        return self._oldest is None or (
            anchor is not None and anchor.before == self._oldest.signature
        )

    def next_attempt(self, page: Sequence[SignatureInfo]) -> ListingAnchor | None:
        """Return where to ask again after a page without news."""
        if self._oldest is None:
            return self._given
        if len(page) >= self._longest_page:
            # A repeated page lacks at least the row that it was to begin after, so this one
            # holds other rows of its slots: their order has changed.
            self._pages_without_news = 0
            self._repeated_pages += 1
            if self._repeated_pages > MAX_REPEATED_PAGES:
                self._refuse("the same rows are listed again and again")
            return _next_anchor(page)
        self._ceiling = self._oldest.slot
        return ListingAnchor(self._oldest.signature, None)

    def _count_pages_of_slot(self, slot: int) -> None:
        same = self._oldest is not None and self._oldest.slot == slot
        self._pages_of_slot = self._pages_of_slot + 1 if same else 1
        if self._pages_of_slot > MAX_PAGES_OF_A_SLOT:
            self._refuse(f"slot {slot} has no end")

    def _refuse(self, reason: str) -> None:
        names = ", ".join(self._rpc.endpoints)
        raise ContradictoryListing(f"getSignaturesForAddress: {names}: {reason}")


def from_one_node(rpc: RpcClient, read: Callable[[RpcClient], T]) -> T:
    """Return what ``read`` returns with a client pinned to one node.

    Where a node contradicts itself or fails half-way, ``read`` begins again at the next one.

    Raises:
        RpcUnavailable: no node could answer all of it; the text names every failure.
    """
    failures: list[RpcUnavailable] = []
    for pinned in rpc.pinned_in_turn():
        try:
            return read(pinned)
        except RpcUnavailable as error:
            failures.append(error)
    raise combined(failures)


def combined(failures: Sequence[RpcUnavailable]) -> RpcUnavailable:
    """Return one error for the failures of one read at several nodes, at least one."""
    last = failures[-1]
    if len(failures) == 1:
        return last
    text = "; ".join(map(str, failures))
    limits = [error for error in failures if isinstance(error, RateLimited)]
    if limits:
        return RateLimited(text, limits[-1].retry_after)
    kinds = {type(error) for error in failures}
    return ContradictoryListing(text) if kinds == {ContradictoryListing} else RpcUnavailable(text)
