"""Parameters of a call, checked and typed, with the cluster's error texts."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec
from solders.pubkey import Pubkey

from localnet.bank import Tip
from localnet.blocks import Commitment
from localnet.node import Node
from localnet.rpc.errors import MIN_CONTEXT_SLOT, RpcError, invalid
from localnet.views import ChainView
from localnet.wire_transaction import PACKET_BYTES, MalformedTransaction, WireTransaction
from zmart_pipelines import base58

T = TypeVar("T")
Natural: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""Slots, sizes, offsets and lamports."""

_BASE64_LIMIT = 4 * -(-PACKET_BYTES // 3)
_BASE58_LIMIT = 1683
_VERSIONED = "solana_transaction::versioned::VersionedTransaction"


class Options(msgspec.Struct, rename="camel"):
    """The members of nearly every options object."""

    commitment: Commitment | None = None
    min_context_slot: Natural | None = None


class Params:
    """The positional parameters of one call."""

    def __init__(self, node: Node, values: list[Any], view: ChainView | None = None) -> None:
        self.node = node
        self.view = ChainView(node.bank) if view is None else view
        self.values = values

    def get(self, index: int) -> Any:
        """Return a parameter, None when absent."""
        return self.values[index] if index < len(self.values) else None

    def convert(self, index: int, kind: type[T]) -> T:
        """Return a required parameter, converted to ``kind``."""
        if index >= len(self.values):
            raise invalid(f"Invalid params: missing parameter {index + 1}")
        try:
            return msgspec.convert(self.values[index], kind)
        except msgspec.ValidationError as error:
            raise invalid(f"Invalid params: {error}") from error

    def options(self, index: int, kind: type[T]) -> T:
        """Return an options object; absent and null members have their defaults."""
        value = self.get(index)
        if value is None:
            value = {}
        elif isinstance(value, dict):
            value = {name: member for name, member in value.items() if member is not None}
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            raise invalid(f"Invalid params: {error}") from error

    def natural(self, index: int) -> int:
        """Return a required slot, size or number of lamports."""
        if index >= len(self.values):
            raise invalid(f"Invalid params: missing parameter {index + 1}")
        try:
            return msgspec.convert(self.values[index], Natural)
        except msgspec.ValidationError as error:
            raise invalid(f"Invalid params: {error}") from error

    def pubkey(self, index: int) -> Pubkey:
        """Return a required address in base58."""
        return pubkey(self.convert(index, str))

    def signature(self, index: int) -> bytes:
        """Return the bytes of a required transaction signature in base58."""
        return signature(self.convert(index, str))

    def tip(self, options: Options, default: Commitment = Commitment.FINALIZED) -> Tip:
        """Return the chain's tip at the requested commitment; fail below ``minContextSlot``."""
        tip = self.view.tip(options.commitment or default)
        if options.min_context_slot is not None and tip.slot < options.min_context_slot:
            raise RpcError(
                MIN_CONTEXT_SLOT,
                "Minimum context slot has not been reached",
                {"contextSlot": tip.slot},
            )
        return tip


def pubkey(text: str) -> Pubkey:
    """Parse an address, or raise the cluster's error."""
    try:
        return Pubkey.from_string(text)
    except ValueError as error:
        raise invalid("Invalid param: Invalid") from error


def signature(text: str) -> bytes:
    """Parse a signature, or raise the cluster's error."""
    raw = decode_base58(text)
    if raw is None or len(raw) != 64:
        raise invalid("Invalid param: Invalid")
    return raw


def decode_base58(text: str) -> bytes | None:
    """Return the decoded bytes, None for text that is not base58."""
    try:
        return base58.decode(text)
    except ValueError:
        return None


def decode_bytes(text: str, encoding: Literal["base58", "base64"], what: str) -> bytes:
    """Decode bytes of at most one packet from one of the two encodings."""
    limit = _BASE58_LIMIT if encoding == "base58" else _BASE64_LIMIT
    if len(text) > limit:
        raise invalid(
            f"{encoding} encoded {what} too large: {len(text)} bytes "
            f"(max: encoded/raw {limit}/{PACKET_BYTES})"
        )
    if encoding == "base58":
        decoded = decode_base58(text)
    else:
        try:
            decoded = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            decoded = None
    if decoded is None:
        raise invalid(f"invalid {encoding} encoding: {what}")
    if len(decoded) > PACKET_BYTES:
        raise invalid(f"decoded {what} too large: {len(decoded)} bytes (max: {PACKET_BYTES} bytes)")
    return decoded


def transaction(text: str, encoding: Literal["base58", "base64"]) -> WireTransaction:
    """Decode a transaction as sent to a node."""
    wire = decode_bytes(text, encoding, _VERSIONED)
    try:
        return WireTransaction(wire)
    except MalformedTransaction as error:
        raise invalid(f"failed to deserialize {_VERSIONED}: {error}") from error


def with_context(tip: Tip, value: Any) -> dict[str, Any]:
    """Return a result with the slot it was read at."""
    return {"context": context(tip), "value": value}


def context(tip: Tip) -> dict[str, Any]:
    """Return the context of a result: the slot it was read at."""
    return {"apiVersion": API_VERSION, "slot": tip.slot}


API_VERSION = "4.0.0"
