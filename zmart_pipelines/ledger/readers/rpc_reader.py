"""Reading the program's transactions from a node: whole windows of signatures, then each."""

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

# Requests at a time; more only run into the endpoint's limit.
FETCH_WORKERS: Final = 4
NOT_FOUND: Final = "the node lists the transaction but does not have it"


class UnreadTransaction(msgspec.Struct, frozen=True):
    """A listed transaction that could not be read, and why."""

    signature: bytes
    slot: int | None
    reason: str


class ContradictoryListing(RpcUnavailable):
    """A node does not list what was listed before; another one may, or it itself later."""


class ListingAnchor(NamedTuple):
    """Where a listing goes on, or begins below the tip.

    A node answers nothing, and no error, about what lies before a signature that it does not
    know. So an anchor names what must follow.
    """

    before: bytes
    slot: int | None
    """Of the next rows one is of this slot or later; None where nothing is known of them."""


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
    """The signatures from the tip down to ``first_slot``, in the chain's order.

    Every page begins with the last whole slot of the page before once more, since nodes do
    not promise an order inside a slot. ``min_context_slot`` refuses a node that is behind.

    :param last_slot: leaves out what is newer.
    :param anchor: begins there instead of at the tip.
    :returns: the signatures, and whether the window is closed: False only when ``max_pages``
        were read before its end.
    :raises Contradiction: where the node contradicts what was listed before.
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
    """One page of a listing, newest first, from the anchor (None: the tip) down.

    :raises Contradiction: where what the anchor promises does not follow.
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
            "getSignaturesForAddress: the node does not list what was listed"
        )
    return page


def next_anchor(page: Sequence[SignatureInfo]) -> ListingAnchor:
    """Where the next page begins: behind the last slot that is surely whole."""
    edge = page[-1].slot
    whole = [row for row in page if row.slot > edge]
    return (
        ListingAnchor(whole[-1].signature, edge)
        if whole
        else ListingAnchor(page[-1].signature, None)
    )


def in_chain_order(rows: Iterable[SignatureInfo]) -> list[SignatureInfo]:
    """Rows of a listing in the chain's order."""
    return sorted(rows, key=_chain_order)


def _chain_order(row: SignatureInfo) -> tuple[int, int]:
    return row.slot, -1 if row.index_in_block is None else row.index_in_block


def fetch_transactions(
    rpc: RpcClient,
    program: Pubkey,
    wanted: Iterable[tuple[bytes, int | None, int | None]],
    commitment: ReadCommitment,
    *,
    seconds: float | None = None,
) -> Iterator[RawTransaction | UnreadTransaction | None]:
    """Read transactions, given as (signature, slot, index in block); answers in that order.

    :param seconds: stop reading when so much time has passed; the rest is answered None, and
        so is what a limit of the node keeps from being asked now.
    """
    deadline = None if seconds is None else time.monotonic() + seconds

    def read(
        item: tuple[bytes, int | None, int | None],
    ) -> RawTransaction | UnreadTransaction | None:
        if deadline is not None and time.monotonic() > deadline:
            return None
        try:
            return _fetch_transaction(rpc, program, item, commitment)
        except RateLimited:
            if deadline is None:
                raise
            # What was read is worth keeping; the caller looks again soon.
            return None

    with ThreadPoolExecutor(FETCH_WORKERS, thread_name_prefix="fetch") as pool:
        yield from pool.map(read, wanted)


def _fetch_transaction(
    rpc: RpcClient,
    program: Pubkey,
    item: tuple[bytes, int | None, int | None],
    commitment: ReadCommitment,
) -> RawTransaction | UnreadTransaction:
    signature, slot, index = item
    try:
        result = rpc.transaction(signature, commitment)
        if result is None:
            return UnreadTransaction(signature, slot, NOT_FOUND)
        transaction = from_rpc(result, program)
    except RpcError as error:
        if error.transient:
            raise
        return UnreadTransaction(signature, slot, str(error))
    except PayloadError as error:
        return UnreadTransaction(signature, slot, str(error))
    if transaction.signature != signature:
        return UnreadTransaction(signature, slot, "the node answered with another transaction")
    if transaction.index_in_block is None and index is not None and transaction.slot == slot:
        return msgspec.structs.replace(transaction, index_in_block=index)
    return transaction
