"""A chain on file: what a node told of the program at one finalized slot.

The file is JSON compressed with gzip. ``recorded_node`` answers from it as a node would.
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
from zmart_pipelines.program.accounts import DISCRIMINATOR
from zmart_pipelines.program.ids import CLOCK_SYSVAR

PAGE: Final = 1000
# Reads until all accounts are of one slot; a chain closes one every 400 ms.
TRIES: Final = 20


class RecordingError(Exception):
    """The chain could not be recorded, or the file is no recording; the text says why."""


class Account(msgspec.Struct, frozen=True):
    """An account with its address; it is the program's."""

    address: str
    data: bytes


class Listed(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A row of getSignaturesForAddress, as a node writes it."""

    signature: str
    slot: int
    err: Any = None
    block_time: int | None = None
    transaction_index: int | None = None
    confirmation_status: str = "finalized"
    memo: None = None


class Recording(msgspec.Struct, frozen=True):
    """All of the program as of ``slot``.

    :ivar clock: the bytes of the Clock sysvar.
    :ivar accounts: of the program. Balances are not kept; no rule looks at them.
    :ivar listed: its transactions, the newest first.
    :ivar transactions: the result of getTransaction by signature, as the node wrote it.
    """

    program: str
    slot: int
    clock: bytes
    accounts: list[Account]
    listed: list[Listed]
    transactions: dict[str, msgspec.Raw]

    def write(self, file: Path) -> None:
        """Put it into a file; the same recording gives the same bytes."""
        file.write_bytes(gzip.compress(msgspec.json.encode(self), mtime=0))


def read(file: Path) -> Recording:
    """The recording in a file; RecordingError where it holds none."""
    try:
        return msgspec.json.decode(gzip.decompress(file.read_bytes()), type=Recording)
    except (OSError, EOFError, msgspec.MsgspecError) as error:
        raise RecordingError(f"{file} is not a recorded chain: {error}") from error


def record(rpc: RpcClient, program: Pubkey) -> Recording:
    """Record the program as it stands at finalized.

    Raises what RpcClient raises, and RecordingError where the node would not answer for all
    accounts as of one slot, or lists a transaction that it does not have.
    """
    slot, clock, accounts = _accounts(rpc, program)
    listed = _listed(rpc, program, slot)
    transactions = {}
    for row in listed:
        name = base58.encode(row.signature)
        body = rpc.transaction(row.signature, "finalized")
        if body is None:
            raise RecordingError(f"the node lists {name} and does not have it")
        transactions[name] = msgspec.Raw(body)
    return Recording(
        program=str(program),
        slot=slot,
        clock=clock,
        accounts=accounts,
        listed=[
            Listed(
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
    """A slot, the Clock sysvar as of it, and all accounts of the program."""
    for _ in range(TRIES):
        clock = rpc.account(CLOCK_SYSVAR, "finalized")
        answers = [rpc.program_accounts(program, kind) for kind in DISCRIMINATOR.values()]
        if clock.value is not None and {one.slot for one in answers} == {clock.slot}:
            found = [row for answer in answers for row in answer.value]
            return (
                clock.slot,
                clock.value.data,
                [Account(str(address), data) for address, data in sorted(found)],
            )
    raise RecordingError(f"the node moved on between the reads, {TRIES} times")


def _listed(rpc: RpcClient, program: Pubkey, slot: int) -> list[SignatureInfo]:
    """Every transaction up to ``slot``, the newest first."""
    found: list[SignatureInfo] = []
    before: bytes | None = None
    while True:
        page = rpc.signatures_for_address(program, before=before, limit=PAGE, min_context_slot=slot)
        found += [row for row in page if row.slot <= slot]
        if len(page) < PAGE:
            return found
        before = page[-1].signature
