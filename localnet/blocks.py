"""Blocks, which are closed slots, and the levels of commitment."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Any, Final

import msgspec

from localnet.transaction_errors import TxError

BLOCKHASH_AGE: Final = 150
"""Blocks after its own in which a blockhash may still be used."""

STATUS_BLOCKS: Final = 300
"""Blocks whose signatures are looked up in memory, without reading the history."""

SLOTS_PER_EPOCH: Final = 432_000


class Commitment(StrEnum):
    """Levels of commitment of a slot."""

    PROCESSED = "processed"
    CONFIRMED = "confirmed"
    FINALIZED = "finalized"


class Record(msgspec.Struct, gc=False):
    """A transaction in a block. ``meta`` is the RPC's JSON object, encoded once."""

    signature: bytes
    wire: bytes
    keys: list[bytes]
    error: TxError | None
    logs: list[str]
    meta: msgspec.Raw
    inner: list[dict[str, Any]]


class Block(msgspec.Struct):
    """A closed slot; ``height`` counts blocks, slots may be skipped.

    Attributes:
        total: transactions of the chain up to and including this block.
        records: emptied once the block is finalized and has been announced.
    """

    slot: int
    parent: int
    height: int
    blockhash: bytes
    parent_hash: bytes
    unix_time: int
    total: int = 0
    changed: list[bytes] = []
    signatures: list[bytes] = []
    records: list[Record] = []

    @property
    def last_valid_height(self) -> int:
        """Last block height at which its blockhash may be used."""
        return self.height + BLOCKHASH_AGE


def next_blockhash(parent_hash: bytes, slot: int, signatures: list[bytes]) -> bytes:
    """Return the hash of a block, which its parent, slot and transactions determine."""
    digest = hashlib.sha256(parent_hash + slot.to_bytes(8, "little"))
    for signature in signatures:
        digest.update(signature)
    return digest.digest()
