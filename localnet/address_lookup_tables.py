"""Address lookup tables: additional accounts that a v0 transaction references by index."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from solders.message import MessageV0
from solders.pubkey import Pubkey

from localnet.accounts import Account, Key
from localnet.transaction_errors import TxError
from localnet.wire_transaction import WireTransaction

TABLE_PROGRAM: Final = bytes(Pubkey.from_string("AddressLookupTab1e1111111111111111111111111"))
_META_BYTES: Final = 56
_META: Final = struct.Struct("<IQQB")
_LOOKUP_TABLE: Final = 1
_ACTIVE: Final = 2**64 - 1
_COOL_DOWN_SLOTS: Final = 513


def resolve(
    tx: WireTransaction, account: Callable[[Key], Account | None], slot: int
) -> TxError | None:
    """Load the addresses that the tables hold at a slot into ``tx``; return the error, if any."""
    message = tx.message
    if not isinstance(message, MessageV0) or not message.address_table_lookups:
        return None
    writable: list[bytes] = []
    readonly: list[bytes] = []
    for lookup in message.address_table_lookups:
        found = account(bytes(lookup.account_key))
        if found is None:
            return "AddressLookupTableNotFound"
        if found.owner != TABLE_PROGRAM:
            return "InvalidAddressLookupTableOwner"
        addresses = _addresses(found.data, slot)
        if not isinstance(addresses, list):
            return addresses
        indexes = [*lookup.writable_indexes, *lookup.readonly_indexes]
        if any(index >= len(addresses) for index in indexes):
            return "InvalidAddressLookupTableIndex"
        writable += [addresses[index] for index in lookup.writable_indexes]
        readonly += [addresses[index] for index in lookup.readonly_indexes]
    tx.load(writable, readonly)
    return None


def _addresses(data: bytes, slot: int) -> list[bytes] | TxError:
    """Return a table's addresses usable at a slot; new entries are usable from the next slot."""
    if len(data) < _META_BYTES or (len(data) - _META_BYTES) % 32:
        return "InvalidAddressLookupTableData"
    kind, deactivated, extended, before = _META.unpack_from(data)
    if kind != _LOOKUP_TABLE:
        return "InvalidAddressLookupTableData"
    if deactivated != _ACTIVE and slot > deactivated + _COOL_DOWN_SLOTS:
        return "AddressLookupTableNotFound"
    addresses = [data[at : at + 32] for at in range(_META_BYTES, len(data), 32)]
    return addresses if slot > extended else addresses[:before]
