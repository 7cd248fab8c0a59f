"""Reading the program's transactions from a node: listings of signatures, then each one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Literal, NamedTuple

import msgspec
from solders.pubkey import Pubkey

from zmart_pipelines.chain.jsonrpc import RateLimited, RpcError, RpcUnavailable
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.rpc_types import SignatureInfo
from zmart_pipelines.chain.transactions import PayloadError, RawTransaction, from_rpc

ReadCommitment = Literal["confirmed", "finalized"]

# Concurrent requests; more of them only run into the endpoint's rate limit.
FETCH_WORKERS: Final = 4
# Slots before a cursor that are listed again, against nodes that list late or out of order.
OVERLAP_SLOTS: Final = 32
NOT_FOUND: Final = "the node lists the transaction but does not have it"


class TransactionRef(NamedTuple):
    """A transaction to read, with what a listing or a delivery says about its place."""

    signature: bytes
    slot: int | None = None
    index_in_block: int | None = None


class UnreadTransaction(msgspec.Struct, frozen=True):
    """A listed transaction that could not be read, and why."""

    signature: bytes
    slot: int | None
    reason: str


class ContradictoryListing(RpcUnavailable):
    """A node does not list what was listed before; another node may, or the same one later."""


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


def list_window(
    rpc: RpcClient,
    program: Pubkey,
    *,
    first_slot: int,
    commitment: ReadCommitment,
    min_context_slot: int,
    page_size: int,
    max_pages: int | None = None,
    last_slot: int | None = None,
    anchor: ListingAnchor | None = None,
) -> tuple[list[SignatureInfo], bool]:
    """List the signatures from the tip down to ``first_slot``.

    Every page repeats the last complete slot of the page before, since nodes do not promise an
    order inside a slot.

    Args:
        min_context_slot: a node that is behind this slot is refused.
        last_slot: newer rows are left out.
        anchor: where to begin instead of at the tip.

    Returns:
        The signatures in the chain's order, and whether the window is closed: False only if
        ``max_pages`` were read before its end.

    Raises:
        ContradictoryListing: the node contradicts what was listed before.
    """
    found: dict[bytes, SignatureInfo] = {}
    pages = 0
    while True:
        page = list_page(
            rpc,
            program,
            anchor,
            commitment=commitment,
            min_context_slot=min_context_slot,
            page_size=page_size,
        )
        found |= {
            row.signature: row
            for row in page
            if row.slot >= first_slot and (last_slot is None or row.slot <= last_slot)
        }
        closed = len(page) < page_size or page[-1].slot < first_slot
        pages += 1
        if closed or pages == max_pages:
            return in_chain_order(found.values()), closed
        anchor = next_anchor(page)


def list_page(
    rpc: RpcClient,
    program: Pubkey,
    anchor: ListingAnchor | None,
    *,
    commitment: ReadCommitment,
    min_context_slot: int,
    page_size: int,
) -> list[SignatureInfo]:
    """List one page, newest first, from the anchor (None: the tip) down.

    Raises:
        ContradictoryListing: what the anchor promises does not follow.
    """
    page = rpc.signatures_for_address(
        program,
        before=None if anchor is None else anchor.before,
        limit=page_size,
        commitment=commitment,
        min_context_slot=min_context_slot,
    )
    promised = None if anchor is None else anchor.slot
    if promised is not None and (not page or page[0].slot < promised):
        raise ContradictoryListing(
            "getSignaturesForAddress: the page lacks signatures that were listed before"
        )
    return page


def next_anchor(page: Sequence[SignatureInfo]) -> ListingAnchor:
    """Return where the next page begins: after the last slot that is certainly complete."""
    edge = page[-1].slot
    complete = [row for row in page if row.slot > edge]
    if complete:
        return ListingAnchor(complete[-1].signature, edge)
    return ListingAnchor(page[-1].signature, None)


def in_chain_order(rows: Iterable[SignatureInfo]) -> list[SignatureInfo]:
    """Sort the rows of a listing into the chain's order."""
    return sorted(rows, key=_chain_order)


def _chain_order(row: SignatureInfo) -> tuple[int, int]:
    return row.slot, -1 if row.index_in_block is None else row.index_in_block


def fetch_transactions(
    rpc: RpcClient,
    program: Pubkey,
    refs: Iterable[TransactionRef],
    commitment: ReadCommitment,
    *,
    seconds: float | None = None,
) -> Iterator[RawTransaction | UnreadTransaction | None]:
    """Read transactions; yield an answer for each, in the order of ``refs``.

    Args:
        seconds: time limit. Transactions that were not reached in time, or that a rate limit
            of the node did not allow, are answered with None.
    """
    deadline = None if seconds is None else time.monotonic() + seconds

    def fetch(ref: TransactionRef) -> RawTransaction | UnreadTransaction | None:
        if deadline is not None and time.monotonic() > deadline:
            return None
        try:
            return _fetch_transaction(rpc, program, ref, commitment)
        except RateLimited:
            if deadline is None:
                raise
            # What was read so far is kept; the caller's next scan reads the rest.
            return None

    with ThreadPoolExecutor(FETCH_WORKERS, thread_name_prefix="fetch") as pool:
        yield from pool.map(fetch, refs)


def _fetch_transaction(
    rpc: RpcClient, program: Pubkey, ref: TransactionRef, commitment: ReadCommitment
) -> RawTransaction | UnreadTransaction:
    try:
        result = rpc.transaction(ref.signature, commitment)
        if result is None:
            return UnreadTransaction(ref.signature, ref.slot, NOT_FOUND)
        transaction = from_rpc(result, program)
    except RpcError as error:
        if error.transient:
            raise
        return UnreadTransaction(ref.signature, ref.slot, str(error))
    except PayloadError as error:
        return UnreadTransaction(ref.signature, ref.slot, str(error))
    if transaction.signature != ref.signature:
        return UnreadTransaction(
            ref.signature, ref.slot, "the node answered with another transaction"
        )
    lacks_index = transaction.index_in_block is None and ref.index_in_block is not None
    if lacks_index and transaction.slot == ref.slot:
        return msgspec.structs.replace(transaction, index_in_block=ref.index_in_block)
    return transaction
