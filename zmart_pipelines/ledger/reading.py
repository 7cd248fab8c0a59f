"""Reading the program's transactions from a node: whole windows of signatures, then each."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Literal

import msgspec
from solders.pubkey import Pubkey

from zmart_pipelines.chain.rpc import RpcClient, RpcError, SignatureInfo
from zmart_pipelines.chain.transactions import PayloadError, RawTransaction, from_rpc

Level = Literal["confirmed", "finalized"]

# Requests at a time; more only run into the endpoint's limit.
WORKERS: Final = 4
NOT_FOUND: Final = "the node lists the transaction but does not have it"


class Unread(msgspec.Struct, frozen=True):
    """A listed transaction that could not be read, and why."""

    signature: bytes
    slot: int | None
    reason: str


def list_window(
    rpc: RpcClient,
    program: Pubkey,
    *,
    first_slot: int,
    commitment: Level,
    min_context_slot: int,
    page_size: int,
    max_pages: int | None = None,
    last_slot: int | None = None,
    before: bytes | None = None,
) -> tuple[list[SignatureInfo], bool]:
    """The signatures from the tip down to ``first_slot``, in the chain's order.

    Every page begins with the last whole slot of the page before once more, since nodes do
    not promise an order inside a slot. ``min_context_slot`` refuses a node that is behind.

    :param last_slot: leaves out what is newer.
    :param before: begins below this signature instead of the tip. It must be finalized, in a
        slot above ``last_slot``, and known to the node, which answers nothing otherwise.
    :returns: the signatures, and whether the window is closed: False only when ``max_pages``
        were read before its end.
    """
    found: dict[bytes, SignatureInfo] = {}
    pages = 0
    while True:
        page = rpc.signatures_for_address(
            program,
            before=before,
            limit=page_size,
            commitment=commitment,
            min_context_slot=min_context_slot,
        )
        found |= {
            row.signature: row
            for row in page
            if row.slot >= first_slot and (last_slot is None or row.slot <= last_slot)
        }
        closed = len(page) < page_size or page[-1].slot < first_slot
        pages += 1
        if closed or pages == max_pages:
            return sorted(found.values(), key=_order), closed
        before = _turn(page)


def _turn(page: Sequence[SignatureInfo]) -> bytes:
    """Where the next page begins: behind the last slot that is surely whole."""
    edge = page[-1].slot
    whole = [row for row in page if row.slot > edge]
    return whole[-1].signature if whole else page[-1].signature


def _order(row: SignatureInfo) -> tuple[int, int]:
    return row.slot, -1 if row.index_in_block is None else row.index_in_block


def fetch(
    rpc: RpcClient,
    program: Pubkey,
    wanted: Iterable[tuple[bytes, int | None, int | None]],
    commitment: Level,
    *,
    seconds: float | None = None,
) -> Iterator[RawTransaction | Unread | None]:
    """Read transactions, given as (signature, slot, index in block); answers in that order.

    :param seconds: stop reading when so much time has passed; the rest is answered None.
    """
    deadline = None if seconds is None else time.monotonic() + seconds

    def read(
        item: tuple[bytes, int | None, int | None],
    ) -> RawTransaction | Unread | None:
        if deadline is not None and time.monotonic() > deadline:
            return None
        return _fetch(rpc, program, item, commitment)

    with ThreadPoolExecutor(WORKERS, thread_name_prefix="fetch") as pool:
        yield from pool.map(read, wanted)


def _fetch(
    rpc: RpcClient,
    program: Pubkey,
    item: tuple[bytes, int | None, int | None],
    commitment: Level,
) -> RawTransaction | Unread:
    signature, slot, index = item
    try:
        result = rpc.transaction(signature, commitment)
        if result is None:
            return Unread(signature, slot, NOT_FOUND)
        transaction = from_rpc(result, program)
    except RpcError as error:
        if error.transient:
            raise
        return Unread(signature, slot, str(error))
    except PayloadError as error:
        return Unread(signature, slot, str(error))
    if transaction.signature != signature:
        return Unread(signature, slot, "the node answered with another transaction")
    if transaction.index_in_block is None and index is not None and transaction.slot == slot:
        return msgspec.structs.replace(transaction, index_in_block=index)
    return transaction
