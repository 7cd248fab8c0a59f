"""Helius' enhanced webhook bodies: the output of Helius' transaction parser, without logs.

They hold no facts for the ledger (no logs, no unparsed instructions), only signatures of
transactions to read by RPC. https://www.helius.dev/docs/enhanced-transactions
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta
from solders.signature import Signature

# Far more than Helius puts into one body; each hint costs an RPC call.
MAX_HINTS: Final = 1000


class Hint(msgspec.Struct, frozen=True):
    """A transaction to read by RPC. ``slot`` is its slot according to the sender, if named."""

    signature: bytes
    slot: int | None


class _Enhanced(msgspec.Struct):
    """The fields that distinguish such a body from a raw one, whose objects lack them."""

    signature: Annotated[str, Meta(min_length=64, max_length=88)]
    slot: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    timestamp: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


_array_decoder: Final = msgspec.json.Decoder(
    Annotated[list[_Enhanced], Meta(min_length=1, max_length=MAX_HINTS)]
)
_object_decoder: Final = msgspec.json.Decoder(_Enhanced)


def parse_hints(body: bytes) -> list[Hint] | None:
    """Return the transactions named by an enhanced body (a JSON array or object), each once.

    Return None where the body is not of that kind.
    """
    is_object = body.lstrip()[:1] == b"{"
    try:
        transactions = [_object_decoder.decode(body)] if is_object else _array_decoder.decode(body)
        return list({row.signature: _hint(row) for row in transactions}.values())
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError):
        return None


def _hint(transaction: _Enhanced) -> Hint:
    return Hint(bytes(Signature.from_string(transaction.signature)), transaction.slot)
