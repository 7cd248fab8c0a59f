"""A chain in a file: everything a node returned about the program at one finalized slot.

The file is JSON compressed with gzip. ``recorded_node`` serves it as a node would.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any, Final

import msgspec
from solders.pubkey import Pubkey

from zmart_pipelines import base58
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.rpc_types import SignatureInfo
from zmart_pipelines.chain.signature_listing import from_one_node, iter_pages
from zmart_pipelines.program.accounts import DISCRIMINATOR
from zmart_pipelines.program.ids import CLOCK_SYSVAR

PAGE: Final = 1000
# Attempts to read all accounts as of one slot; a chain closes a slot every 400 ms.
TRIES: Final = 20


class RecordingError(Exception):
    """The chain could not be recorded, or the file is not a recording; the text says why."""


class Account(msgspec.Struct, frozen=True):
    """An account of the program with its address."""

    address: str
    data: bytes


class ListedTransaction(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A row of getSignaturesForAddress, as a node returns it."""

    signature: str
    slot: int
    err: Any = None
    block_time: int | None = None
    transaction_index: int | None = None
    confirmation_status: str = "finalized"
    memo: None = None


class Recording(msgspec.Struct, frozen=True):
    """Everything of the program as of ``slot``.

    Attributes:
        clock: the bytes of the Clock sysvar.
        accounts: accounts of the program. Balances are not kept; no rule depends on them.
        listed: its transactions, newest first.
        transactions: results of getTransaction by signature, as the node returned them.
    """

    program: str
    slot: int
    clock: bytes
    accounts: list[Account]
    listed: list[ListedTransaction]
    transactions: dict[str, msgspec.Raw]

    def write(self, file: Path) -> None:
        """Write the recording to a file; equal recordings give equal bytes."""
        file.write_bytes(gzip.compress(msgspec.json.encode(self), mtime=0))


def read(file: Path) -> Recording:
    """Return the recording in a file.

    Raises:
        RecordingError: the file does not hold one.
    """
    try:
        return msgspec.json.decode(gzip.decompress(file.read_bytes()), type=Recording)
    except (OSError, EOFError, msgspec.MsgspecError) as error:
        raise RecordingError(f"{file} is not a recorded chain: {error}") from error


def record(rpc: RpcClient, program: Pubkey) -> Recording:
    """Record the program's finalized state and history.

    Raises what RpcClient raises.

    Raises:
        RecordingError: the node did not return all accounts as of one slot, or lists a
            transaction that it does not have.
    """
    slot, clock, accounts = _accounts(rpc, program)
    listed = _listed(rpc, program, slot)
    transactions = {}
    for row in listed:
        name = base58.encode(row.signature)
        body = rpc.transaction(row.signature, "finalized")
        if body is None:
            raise RecordingError(f"the node lists {name} but does not have it")
        transactions[name] = msgspec.Raw(body)
    return Recording(
        program=str(program),
        slot=slot,
        clock=clock,
        accounts=accounts,
        listed=[
            ListedTransaction(
                base58.encode(row.signature),
                row.slot,
                row.error,
                row.block_time,
                row.index_in_block,
            )
            for row in listed
        ],
        transactions=transactions,
    )


def _accounts(rpc: RpcClient, program: Pubkey) -> tuple[int, bytes, list[Account]]:
    """Return a slot, and the Clock sysvar and all accounts of the program as of it."""
    for _ in range(TRIES):
        clock = rpc.account(CLOCK_SYSVAR, "finalized")
        listings = [rpc.program_accounts(program, kind) for kind in DISCRIMINATOR.values()]
        if clock.value is not None and {listing.slot for listing in listings} == {clock.slot}:
            found = [row for listing in listings for row in listing.value]
            return (
                clock.slot,
                clock.value.data,
                [Account(str(address), data) for address, data in sorted(found)],
            )
    raise RecordingError(f"the node advanced to another slot during each of {TRIES} attempts")


def _listed(rpc: RpcClient, program: Pubkey, slot: int) -> list[SignatureInfo]:
    """Return every transaction up to ``slot``, newest first."""

    def read(node: RpcClient) -> list[SignatureInfo]:
        pages = iter_pages(
            node,
            program,
            first_slot=0,
            commitment="finalized",
            page_size=PAGE,
            min_context_slot=slot,
        )
        # A page repeats rows of the one before it.
        found = {row.signature: row for page in pages for row in page.rows if row.slot <= slot}
        return list(found.values())

    return from_one_node(rpc, read)
