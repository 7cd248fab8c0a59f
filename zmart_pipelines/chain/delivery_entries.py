"""The entries of a webhook body, each read by itself where one of them cannot be read.

Helius switches off a webhook whose deliveries fail too often. One entry that differs from the
documentation therefore costs neither the delivery nor the entries beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from solders.pubkey import Pubkey
from solders.signature import Signature

from zmart_pipelines.chain.helius_enhanced import Hint, parse_hints
from zmart_pipelines.chain.transactions import PayloadError, RawTransaction, from_helius, from_rpc

# Characters of a reason that are kept.
_MAX_REASON = 300
_MAX_SLOT = 2**63 - 1


class UnreadableEntry(msgspec.Struct, frozen=True):
    """An entry that is neither a raw nor an enhanced transaction.

    Attributes:
        position: in the body, from 0.
        reason: the field and what is wrong with it.
    """

    position: int
    reason: str


class DeliveryContent(msgspec.Struct, frozen=True):
    """What a body holds.

    Attributes:
        transactions: with logs.
        hints: transactions of which only the signature can be used, each once; also those of
            unreadable entries that name one.
        unreadable: the entries that could not be read.
    """

    transactions: Sequence[RawTransaction] = ()
    hints: Sequence[Hint] = ()
    unreadable: Sequence[UnreadableEntry] = ()


def parse_delivery(body: bytes, program: Pubkey) -> DeliveryContent:
    """Return the content of a webhook body: a JSON array, or one object.

    Raises:
        PayloadError: the body is neither.
    """
    try:
        return DeliveryContent(transactions=from_helius(body, program))
    except PayloadError:
        hints = parse_hints(body)
        if hints is not None:
            return DeliveryContent(hints=hints)
    return _read_each(_entries(body), program)


def _entries(body: bytes) -> list[bytes]:
    """Return the entries of the body as they are.

    Raises:
        PayloadError: The body is neither an array nor an object.
    """
    is_object = body.lstrip()[:1] == b"{"
    try:
        if is_object:
            msgspec.json.decode(body, type=dict[str, msgspec.Raw])
            return [body]
        return [bytes(entry) for entry in msgspec.json.decode(body, type=list[msgspec.Raw])]
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise PayloadError(str(error)) from None


def _read_each(entries: Sequence[bytes], program: Pubkey) -> DeliveryContent:
    transactions: list[RawTransaction] = []
    hints: dict[bytes, Hint] = {}
    unreadable: list[UnreadableEntry] = []
    for position, entry in enumerate(entries):
        try:
            transactions.append(from_rpc(entry, program))
            continue
        except PayloadError as error:
            reason = str(error).replace("\0", "")[:_MAX_REASON]
        named = parse_hints(entry)
        if named is None:
            unreadable.append(UnreadableEntry(position, reason))
            named = _named_transaction(entry)
        hints |= {hint.signature: hint for hint in named}
    return DeliveryContent(transactions, list(hints.values()), unreadable)


def _named_transaction(entry: bytes) -> list[Hint]:
    """Return the transaction that an entry names in a place where Helius names it, if any."""
    try:
        found: Any = msgspec.json.decode(entry)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return []
    for path in (("transaction", "signatures", 0), ("signature",)):
        try:
            signature = bytes(Signature.from_string(_at(found, path)))
        except (ValueError, TypeError, LookupError):
            continue
        slot = found.get("slot")
        is_slot = type(slot) is int and 0 <= slot <= _MAX_SLOT
        return [Hint(signature, slot if is_slot else None)]
    return []


def _at(value: Any, path: Sequence[str | int]) -> Any:
    for key in path:
        value = value[key]
    return value
