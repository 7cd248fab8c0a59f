"""Types of a node's responses: the values returned to callers, then the JSON shapes."""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.signature import Signature

T = TypeVar("T")
Commitment = Literal["processed", "confirmed", "finalized"]
# A slot, height, count or amount that the database can hold.
Unsigned = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class AtSlot(msgspec.Struct, Generic[T], frozen=True):
    """A value and the slot as of which the node read it."""

    slot: int
    value: T


class Blockhash(msgspec.Struct, frozen=True):
    """A blockhash, the last block height at which it is valid, and the response's slot."""

    hash: Hash
    last_valid_block_height: int
    slot: int


class BlockHeight(msgspec.Struct, frozen=True):
    """How many blocks a node has, and the slot that it has reached with them."""

    slot: int
    height: int


class AccountData(msgspec.Struct, frozen=True):
    """An account: owner, balance in lamports, and data."""

    owner: Pubkey
    lamports: int
    data: bytes
    executable: bool = False


class SignatureInfo(msgspec.Struct, frozen=True):
    """A transaction that names an address. ``error`` is None for success."""

    signature: bytes
    slot: int
    index_in_block: int | None
    error: Any
    block_time: int | None
    commitment: str | None


class Status(msgspec.Struct, frozen=True):
    """A transaction's status as a node knows it. ``error`` is None for success."""

    slot: int
    confirmations: int | None
    error: Any
    commitment: str | None


class Simulation(msgspec.Struct, frozen=True):
    """A simulated transaction.

    Attributes:
        error: None for success.
        units: compute units consumed.
        slot: the slot of the state it was simulated on.
        accounts: those that were asked for, as they are after it, in that order; None for each
            that does not exist then. None are given for a failed one.
    """

    error: Any
    logs: list[str]
    units: int | None
    slot: int
    accounts: list[AccountData | None] = []


class Clock(msgspec.Struct, frozen=True):
    """The cluster's clock as programs read it, in Unix seconds."""

    slot: int
    unix_timestamp: int


class PrioritizationFee(msgspec.Struct, frozen=True, rename={"fee": "prioritizationFee"}):
    """The lowest price per compute unit that landed in a slot, in micro-lamports."""

    slot: int
    fee: int


# The shapes below are those of https://solana.com/docs/rpc/http.


class Context(msgspec.Struct):
    """The slot of the state that a response describes."""

    slot: Unsigned


class Contextual(msgspec.Struct, Generic[T]):
    """A value with its slot."""

    context: Context
    value: T


class AccountRow(msgspec.Struct):
    """An account; ``data`` is its bytes and their encoding in the response, as requested."""

    owner: Pubkey
    lamports: Annotated[int, msgspec.Meta(ge=0)]
    data: tuple[bytes, Literal["base64"]]
    executable: bool = False


class KeyedRow(msgspec.Struct):
    """An account with its address."""

    pubkey: Pubkey
    account: AccountRow


class BlockhashRow(msgspec.Struct, rename="camel"):
    """The value of getLatestBlockhash."""

    blockhash: Hash
    last_valid_block_height: Unsigned


class EpochInfo(msgspec.Struct, rename="camel"):
    """The members of getEpochInfo that tell where a node stands."""

    absolute_slot: Unsigned
    block_height: Unsigned


class SignatureRow(msgspec.Struct, rename="camel"):
    """A row of getSignaturesForAddress."""

    signature: Signature
    slot: Unsigned
    err: Any = None
    block_time: int | None = None
    confirmation_status: str | None = None
    transaction_index: Unsigned | None = None


class _Signed(msgspec.Struct):
    signatures: Annotated[list[str], msgspec.Meta(min_length=1)]


class TransactionHead(msgspec.Struct):
    """The fields of getTransaction that tell which executed transaction it is."""

    slot: Unsigned
    transaction: _Signed
    meta: dict[str, msgspec.Raw]


class TransactionPage(msgspec.Struct, rename="camel"):
    """A page of getTransactionsForAddress."""

    data: list[msgspec.Raw]
    pagination_token: str | None = None


class StatusRow(msgspec.Struct, rename="camel"):
    """A row of getSignatureStatuses."""

    slot: Unsigned
    confirmations: Unsigned | None = None
    err: Any = None
    confirmation_status: str | None = None


class SimulationRow(msgspec.Struct, rename="camel"):
    """The value of simulateTransaction."""

    err: Any = None
    logs: list[str] | None = None
    accounts: list[AccountRow | None] | None = None
    units_consumed: Unsigned | None = None
