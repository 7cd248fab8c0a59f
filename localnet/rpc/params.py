"""Parameters of a call, checked and typed; errors read as the cluster's do."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec
from solders.pubkey import Pubkey

from localnet.bank import View
from localnet.blocks import Commitment
from localnet.node import Node
from localnet.rpc.errors import MIN_CONTEXT_SLOT, RpcError, invalid
from localnet.views import Sight
from localnet.wire_transaction import PACKET_BYTES, MalformedTransaction, WireTransaction
from zmart_pipelines import base58

T = TypeVar("T")
Natural: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""Slots, sizes, offsets and lamports."""

_BASE64_LIMIT = 4 * -(-PACKET_BYTES // 3)
_BASE58_LIMIT = 1683
_VERSIONED = "solana_transaction::versioned::VersionedTransaction"


class Options(msgspec.Struct, rename="camel"):
    """The members that nearly every options object may have."""

    commitment: Commitment | None = None
    min_context_slot: Natural | None = None


class Params:
    """The positional parameters of one call."""

    def __init__(self, node: Node, values: list[Any], sight: Sight | None = None) -> None:
        self.node = node
        self.sight = Sight(node.bank) if sight is None else sight
        self.values = values

    def get(self, index: int) -> Any:
        """A parameter, None when absent."""
        return self.values[index] if index < len(self.values) else None

    def convert(self, index: int, kind: type[T]) -> T:
        """A required parameter of a type."""
        if index >= len(self.values):
            raise invalid(f"Invalid params: missing parameter {index + 1}")
        try:
            return msgspec.convert(self.values[index], kind)
        except msgspec.ValidationError as error:
            raise invalid(f"Invalid params: {error}") from error

    def options(self, index: int, kind: type[T]) -> T:
        """An options object; an absent or null member has its default."""
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
        """A required slot, size or number of lamports."""
        if index >= len(self.values):
            raise invalid(f"Invalid params: missing parameter {index + 1}")
        try:
            return msgspec.convert(self.values[index], Natural)
        except msgspec.ValidationError as error:
            raise invalid(f"Invalid params: {error}") from error

    def pubkey(self, index: int) -> Pubkey:
        """An address in base58."""
        return pubkey(self.convert(index, str))

    def signature(self, index: int) -> bytes:
        """A transaction signature in base58."""
        return signature(self.convert(index, str))

    def view(self, options: Options, default: Commitment = Commitment.FINALIZED) -> View:
        """The chain at the asked commitment; fails below ``minContextSlot``."""
        view = self.sight.view(options.commitment or default)
        if options.min_context_slot is not None and view.slot < options.min_context_slot:
            raise RpcError(
                MIN_CONTEXT_SLOT,
                "Minimum context slot has not been reached",
                {"contextSlot": view.slot},
            )
        return view


def pubkey(text: str) -> Pubkey:
    """An address, or the cluster's complaint."""
    try:
        return Pubkey.from_string(text)
    except ValueError as error:
        raise invalid("Invalid param: Invalid") from error


def signature(text: str) -> bytes:
    """A signature, or the cluster's complaint."""
    raw = unbase58(text)
    if raw is None or len(raw) != 64:
        raise invalid("Invalid param: Invalid")
    return raw


def unbase58(text: str) -> bytes | None:
    """The decoded bytes, None for what is no base58."""
    try:
        return base58.decode(text)
    except ValueError:
        return None


def decode_bytes(text: str, encoding: Literal["base58", "base64"], what: str) -> bytes:
    """Bytes of at most a packet in one of the two encodings."""
    limit = _BASE58_LIMIT if encoding == "base58" else _BASE64_LIMIT
    if len(text) > limit:
        raise invalid(
            f"{encoding} encoded {what} too large: {len(text)} bytes "
            f"(max: encoded/raw {limit}/{PACKET_BYTES})"
        )
    if encoding == "base58":
        decoded = unbase58(text)
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
    """A transaction as sent to a node."""
    wire = decode_bytes(text, encoding, _VERSIONED)
    try:
        return WireTransaction(wire)
    except MalformedTransaction as error:
        raise invalid(f"failed to deserialize {_VERSIONED}: {error}") from error


def with_context(view: View, value: Any) -> dict[str, Any]:
    """A result with the slot it is true of."""
    return {"context": context(view), "value": value}


def context(view: View) -> dict[str, Any]:
    """The slot an answer is true of."""
    return {"apiVersion": API_VERSION, "slot": view.slot}


API_VERSION = "4.0.0"
