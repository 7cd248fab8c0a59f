"""Transactions in wire format: the parts that the node itself reads."""

from __future__ import annotations

from functools import cached_property
from typing import Final

from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.transaction import SanitizeError, VersionedTransaction

from zmart_pipelines.program.ids import COMPUTE_BUDGET

PACKET_BYTES: Final = 1232
LAMPORTS_PER_SIGNATURE: Final = 5000
MAX_COMPUTE_UNITS: Final = 1_400_000
_DEFAULT_UNITS: Final = 200_000
_BUILTIN_UNITS: Final = 3_000
_COMPUTE_BUDGET: Final = bytes(COMPUTE_BUDGET)
_BUILTINS: Final = frozenset(
    bytes(Pubkey.from_string(name))
    for name in (
        "11111111111111111111111111111111",
        "Vote111111111111111111111111111111111111111",
        "Stake11111111111111111111111111111111111111",
        "BPFLoader1111111111111111111111111111111111",
        "BPFLoader2111111111111111111111111111111111",
        "BPFLoaderUpgradeab1e11111111111111111111111",
    )
)


class MalformedTransaction(ValueError):
    """The bytes are not a transaction; the text says why."""


class WireTransaction:
    """One signed transaction: its bytes and their contents.

    Attributes:
        keys: static account addresses in message order.
        writable: indexes that the message requests to write; the runtime, not this class,
            demotes programs and sysvars among them. ``load`` adds addresses from lookup
            tables to both.
    """

    __slots__ = (
        "__dict__",
        "blockhash",
        "keys",
        "loaded",
        "message",
        "pubkeys",
        "signature",
        "signatures",
        "versioned",
        "wire",
        "writable",
    )

    def __init__(self, wire: bytes) -> None:
        try:
            versioned = VersionedTransaction.from_bytes(wire)
            versioned.sanitize()
        except (ValueError, SanitizeError) as error:
            raise MalformedTransaction(str(error)) from error
        self.versioned = versioned
        self.wire = bytes(versioned)  # without trailing bytes
        message: Message | MessageV0 = versioned.message
        self.message = message
        self.signatures = versioned.signatures
        header = message.header
        required = header.num_required_signatures
        self.pubkeys: list[Pubkey] = message.account_keys
        count = len(self.pubkeys)
        if (
            required == 0
            or len(self.signatures) != required
            or header.num_readonly_signed_accounts >= required
            or required + header.num_readonly_unsigned_accounts > count
        ):
            raise MalformedTransaction("the message header does not match its signatures and keys")
        self.keys: list[bytes] = [bytes(key) for key in self.pubkeys]
        self.signature = bytes(self.signatures[0])
        self.blockhash = bytes(message.recent_blockhash)
        self.writable: list[int] = [
            *range(required - header.num_readonly_signed_accounts),
            *range(required, count - header.num_readonly_unsigned_accounts),
        ]

        self.loaded: tuple[list[bytes], list[bytes]] = ([], [])

    def load(self, writable: list[bytes], readonly: list[bytes]) -> None:
        """Append the addresses of lookup tables to the static ones."""
        count = len(self.message.account_keys)
        more = [*writable, *readonly]
        self.loaded = (writable, readonly)
        self.keys = [*self.keys[:count], *more]
        self.pubkeys = [*self.pubkeys[:count], *map(Pubkey.from_bytes, more)]
        static = [index for index in self.writable if index < count]
        self.writable = [*static, *range(count, count + len(writable))]

    @property
    def version(self) -> int | None:
        """0 for a v0 transaction, None for a legacy one."""
        return 0 if isinstance(self.message, MessageV0) else None

    @property
    def payer(self) -> bytes:
        """The fee payer, which is the first account."""
        return self.keys[0]

    def signatures_valid(self) -> bool:
        """Return whether every signature is valid for its account and the message."""
        return all(self.versioned.verify_with_results())

    @cached_property
    def fee(self) -> int:
        """Base plus prioritization fee in lamports."""
        return self.base_fee + self.priority_fee

    @property
    def base_fee(self) -> int:
        """5,000 lamports for each signature."""
        return LAMPORTS_PER_SIGNATURE * len(self.signatures)

    @cached_property
    def priority_fee(self) -> int:
        """Compute-unit price times limit in lamports, rounded up."""
        if _COMPUTE_BUDGET not in self.keys:
            return 0
        price, limit, units = 0, None, 0
        for instruction in self.message.instructions:
            program = self.keys[instruction.program_id_index]
            if program != _COMPUTE_BUDGET:
                units += _BUILTIN_UNITS if program in _BUILTINS else _DEFAULT_UNITS
                continue
            units += _BUILTIN_UNITS
            data = instruction.data
            if len(data) == 5 and data[0] == 2:
                limit = int.from_bytes(data[1:], "little")
            elif len(data) == 9 and data[0] == 3:
                price = int.from_bytes(data[1:], "little")
        limit = min(units if limit is None else limit, MAX_COMPUTE_UNITS)
        return -(-price * limit // 1_000_000)
