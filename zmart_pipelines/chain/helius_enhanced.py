"""Helius' enhanced webhook bodies: what somebody's parser made of a transaction, without logs.

Nothing in them is a fact for a ledger (no logs, and no instructions of other formats); the
signatures tell what to read by RPC. https://www.helius.dev/docs/enhanced-transactions
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta
from solders.signature import Signature

# Far more than a sender puts into one body; each costs a call to the node.
MAX_HINTS: Final = 1000


class Hint(msgspec.Struct, frozen=True):
    """A transaction to look at. ``slot`` is the sender's word for where it is."""

    signature: bytes
    slot: int


class _Enhanced(msgspec.Struct):
    """The members that tell such a body from a raw one, whose objects have neither."""

    signature: Annotated[str, Meta(min_length=64, max_length=88)]
    slot: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    timestamp: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


_many: Final = msgspec.json.Decoder(
    Annotated[list[_Enhanced], Meta(min_length=1, max_length=MAX_HINTS)]
)
_one: Final = msgspec.json.Decoder(_Enhanced)


def read_hints(body: bytes) -> list[Hint] | None:
    """The transactions that an enhanced body names, each once: a JSON array, or one object.

    None where the body is not of that kind.
    """
    single = body.lstrip()[:1] == b"{"
    try:
        told = [_one.decode(body)] if single else _many.decode(body)
        return list({one.signature: _hint(one) for one in told}.values())
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError):
        return None


def _hint(one: _Enhanced) -> Hint:
    return Hint(bytes(Signature.from_string(one.signature)), one.slot)
