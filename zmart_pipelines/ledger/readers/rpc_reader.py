"""Reading the program's transactions from a node: listings of signatures, then each one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Literal, NamedTuple

import msgspec
from solders.pubkey import Pubkey

from zmart_pipelines.chain.jsonrpc import RateLimited, RpcError, RpcUnavailable
from zmart_pipelines.chain.rpc import UNSUPPORTED_TRANSACTION_VERSION, RpcClient
from zmart_pipelines.chain.rpc_types import SignatureInfo
from zmart_pipelines.chain.signature_listing import ListingAnchor, iter_pages
from zmart_pipelines.chain.transactions import (
    PayloadError,
    RawTransaction,
    UnsupportedVersion,
    from_rpc,
)
from zmart_pipelines.ledger.model.decode import decode

ReadCommitment = Literal["confirmed", "finalized"]

# Concurrent requests; more of them only run into the endpoint's rate limit.
FETCH_WORKERS: Final = 4
# Slots before a cursor that are listed again, against nodes that list late or out of order.
OVERLAP_SLOTS: Final = 32
NOT_FOUND: Final = "the node lists the transaction but does not have it"


class TransactionRef(NamedTuple):
    """A transaction to read, with what a listing or a delivery says about it.

    Attributes:
        slot: where it was listed or reported.
        is_listed: whether ``slot`` is of a listing, which the answer must repeat at finalized.
        listed_failed: whether the listing says that it failed; None if that is not known.
        is_of_program: whether it was listed for the program's address, which it must name.
    """

    signature: bytes
    slot: int | None = None
    index_in_block: int | None = None
    is_listed: bool = False
    listed_failed: bool | None = None
    is_of_program: bool = False

    @classmethod
    def of_listing(cls, row: SignatureInfo, *, is_of_program: bool = True) -> TransactionRef:
        """Return the reference to a listed transaction."""
        failed = row.error is not None
        return cls(row.signature, row.slot, row.index_in_block, True, failed, is_of_program)


class UnreadTransaction(msgspec.Struct, frozen=True):
    """A transaction that could not be read, and why.

    Attributes:
        kind: the kind of gap that it leaves if it is listed.
    """

    signature: bytes
    slot: int | None
    reason: str
    kind: Literal["unread", "unsupported", "contradictory"] = "unread"


class ListedWindow(NamedTuple):
    """Signatures of a window.

    Attributes:
        rows: in the chain's order.
        closed: False if the limit of pages was reached before the window's end.
        reached: whether a row below the window was listed; otherwise the node's history ends
            inside of the window.
    """

    rows: list[SignatureInfo]
    closed: bool
    reached: bool


def list_window(
    rpc: RpcClient,
    address: Pubkey,
    *,
    first_slot: int,
    commitment: ReadCommitment,
    min_context_slot: int,
    page_size: int,
    max_pages: int | None = None,
    last_slot: int | None = None,
    anchor: ListingAnchor | None = None,
) -> ListedWindow:
    """List the signatures from the tip down to ``first_slot``.

    Args:
        rpc: a pinned client, so that all pages are of one node.
        min_context_slot: a node that is behind this slot is refused.
        last_slot: newer rows are left out.
        anchor: where to begin instead of at the tip.

    Raises:
        ContradictoryListing: the node contradicts what it listed before.
    """
    found: dict[bytes, SignatureInfo] = {}
    reached = False
    pages = iter_pages(
        rpc,
        address,
        first_slot=first_slot,
        commitment=commitment,
        page_size=page_size,
        min_context_slot=min_context_slot,
        anchor=anchor,
    )
    for number, page in enumerate(pages, 1):
        found |= {
            row.signature: row
            for row in page.rows
            if row.slot >= first_slot and (last_slot is None or row.slot <= last_slot)
        }
        reached = page.is_last
        if number == max_pages and not reached:
            return ListedWindow(in_chain_order(found.values()), False, False)
    return ListedWindow(in_chain_order(found.values()), True, reached)


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
    """Read a transaction; ask the next endpoint where an answer is not a complete reading."""
    incomplete: list[RawTransaction] = []
    unread: list[UnreadTransaction] = []
    try:
        for answer in rpc.transaction_answers(ref.signature, commitment):
            found = checked_answer(answer, program, ref, commitment)
            if isinstance(found, UnreadTransaction):
                unread.append(found)
            elif decode(found, program).gap is None:
                return found
            else:
                incomplete.append(found)
    except RpcError as error:
        if error.transient and not incomplete and not unread:
            raise
        is_newer = error.code == UNSUPPORTED_TRANSACTION_VERSION
        kind: Literal["unread", "unsupported"] = "unsupported" if is_newer else "unread"
        unread.append(UnreadTransaction(ref.signature, ref.slot, str(error), kind))
    except RpcUnavailable:
        if not incomplete and not unread:
            raise
    if incomplete:
        # The one that says most; ingest records what is missing.
        return max(incomplete, key=lambda one: len(decode(one, program).events))
    return unread[0] if unread else UnreadTransaction(ref.signature, ref.slot, NOT_FOUND)


def checked_answer(
    answer: bytes, program: Pubkey, ref: TransactionRef, commitment: ReadCommitment
) -> RawTransaction | UnreadTransaction:
    """Return the transaction in a node's answer, or why it is not the one that was asked for."""
    try:
        transaction = from_rpc(answer, program)
    except UnsupportedVersion as error:
        return UnreadTransaction(ref.signature, ref.slot, str(error), "unsupported")
    except PayloadError as error:
        return UnreadTransaction(ref.signature, ref.slot, str(error))
    contradiction = _contradiction(transaction, ref, commitment)
    if contradiction is not None:
        return UnreadTransaction(ref.signature, ref.slot, contradiction, "contradictory")
    lacks_index = transaction.index_in_block is None and ref.index_in_block is not None
    if lacks_index and transaction.slot == ref.slot:
        return msgspec.structs.replace(transaction, index_in_block=ref.index_in_block)
    return transaction


def _contradiction(
    transaction: RawTransaction, ref: TransactionRef, commitment: ReadCommitment
) -> str | None:
    """Return how an answer contradicts the request or the listing that it follows."""
    if transaction.signature != ref.signature:
        return "the node answered with another transaction"
    if ref.is_of_program and not transaction.names_program:
        return "it is listed for the program, and the answer does not name the program"
    # Before it is finalized, a transaction may move between listing and reading.
    if not ref.is_listed or commitment != "finalized":
        return None
    if ref.slot is not None and transaction.slot != ref.slot:
        return f"it is listed in slot {ref.slot}, and the answer is of slot {transaction.slot}"
    if ref.listed_failed is not None and (transaction.error is not None) != ref.listed_failed:
        listed = "failed" if ref.listed_failed else "successful"
        return f"it is listed as {listed}, and the answer says otherwise"
    return None
