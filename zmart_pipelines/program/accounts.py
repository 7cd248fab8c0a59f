"""The four account types and their exact bytes.

Amounts are lamports, shares and ``b`` have 9 decimals, times are the cluster's Unix seconds,
vote shares and fees are basis points. Keys and ids are 32 raw bytes. In MarketAccount three
options shift the offsets of later fields, so it is decoded in order. Bytes between the end of
the Borsh data and the allocated size are zero and are ignored when decoding.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final, TypeVar

import msgspec

from zmart_pipelines.program import idl
from zmart_pipelines.program.codec import Codec, DecodeError


class MarketState(IntEnum):
    """The stages of a market, as numbered on chain."""

    PROPOSED = 0
    APPROVED = 1
    ACTIVE = 2
    RESOLVING = 3
    DISPUTED = 4
    FINALIZED = 5
    CANCELLED = 6


class VoteKind(IntEnum):
    """The subject of a vote, as numbered on chain."""

    PROPOSAL = 0
    DISPUTE = 1


class GlobalConfig(msgspec.Struct, frozen=True, gc=False):
    """The protocol's parameters and authorities; one account per program.

    ``min_resolution_delay`` and ``min_resolver_reputation`` are stored but read by no
    instruction. The two authorities and the fee wallet can never change.
    """

    admin: bytes
    backend_authority: bytes
    protocol_fee_wallet: bytes
    protocol_fee_bps: int
    resolver_reward_bps: int
    liquidity_provider_fee_bps: int
    proposal_approval_threshold: int
    dispute_success_threshold: int
    min_resolution_delay: int
    dispute_period: int
    min_resolver_reputation: int
    is_paused: bool
    reserved: bytes
    bump: int


class MarketAccount(msgspec.Struct, frozen=True, gc=False):
    """One market.

    Pitfalls: ``shares_*`` start at b / 1000, which no one owns; ``current_liquidity`` is a
    counter, not the balance; ``ipfs_evidence_hash`` holds the question's hash until the
    resolution overwrites it; an outcome of None means both unset and invalid, so read it
    together with the state; ``resolved_at`` is not the time of the resolution;
    ``is_cancelled``, ``accumulated_protocol_fees`` and ``resolution_*`` are never set.
    """

    market_id: bytes
    creator: bytes
    state: MarketState
    b_parameter: int
    initial_liquidity: int
    current_liquidity: int
    shares_yes: int
    shares_no: int
    total_volume: int
    created_at: int
    approved_at: int
    activated_at: int
    resolution_proposed_at: int
    resolved_at: int
    finalized_at: int
    resolver: bytes
    proposed_outcome: bool | None
    final_outcome: bool | None
    ipfs_evidence_hash: bytes
    dispute_initiated_at: int
    dispute_initiator: bytes
    accumulated_protocol_fees: int
    accumulated_resolver_fees: int
    accumulated_lp_fees: int
    proposal_likes: int
    proposal_dislikes: int
    proposal_total_votes: int
    resolution_agree: int
    resolution_disagree: int
    resolution_total_votes: int
    dispute_agree: int
    dispute_disagree: int
    dispute_total_votes: int
    was_disputed: bool
    is_cancelled: bool
    cancelled_at: int | None
    is_locked: bool
    reserved: bytes
    bump: int


class UserPosition(msgspec.Struct, frozen=True, gc=False):
    """One user's position in one market (``market`` is the account's address).

    ``total_invested`` is everything paid in buys, fees included; sales do not reduce it.
    """

    market: bytes
    user: bytes
    shares_yes: int
    shares_no: int
    total_invested: int
    trades_count: int
    last_trade_at: int
    has_claimed: bool
    claimed_amount: int
    reserved: bytes
    bump: int


class VoteRecord(msgspec.Struct, frozen=True, gc=False):
    """One user's vote of one kind on one market (by address). Never changed or closed.

    ``vote``: for a proposal like (True) or dislike; for a dispute, whether the user agrees
    that the resolution is wrong.
    """

    market: bytes
    user: bytes
    vote_type: VoteKind
    vote: bool
    voted_at: int
    bump: int


Account = GlobalConfig | MarketAccount | UserPosition | VoteRecord
A = TypeVar("A", GlobalConfig, MarketAccount, UserPosition, VoteRecord)

_TYPES: Final[tuple[type[Account], ...]] = (
    GlobalConfig,
    MarketAccount,
    UserPosition,
    VoteRecord,
)

# Bytes that the program allocates. Config and market are larger than their data, because their
# space was computed from sizes above those of the Borsh encoding.
ALLOCATED_SIZE: Final[Mapping[type[Account], int]] = {
    GlobalConfig: 206,
    MarketAccount: 488,
    UserPosition: 182,
    VoteRecord: 83,
}

_CODECS: Final = {
    cls: Codec(
        cls,
        idl.load().type(cls.__name__).fields,
        idl.discriminator("account", cls.__name__),
        {"MarketState": MarketState, "VoteType": VoteKind},
    )
    for cls in _TYPES
}
_BY_DISCRIMINATOR: Final = {codec.discriminator: codec for codec in _CODECS.values()}

# First 8 bytes of an account, by type.
DISCRIMINATOR: Final[Mapping[type[Account], bytes]] = {
    cls: codec.discriminator for cls, codec in _CODECS.items()
}


def decode_account(data: bytes) -> Account:
    """Return the account encoded in ``data``.

    Raises:
        DecodeError: an account of another program, or damaged data.
    """
    codec = _BY_DISCRIMINATOR.get(data[:8])
    if codec is None:
        raise DecodeError(f"no account of the program starts with {data[:8].hex() or 'nothing'}")
    account, _ = codec.read(data)
    return account


def decode_as(cls: type[A], data: bytes) -> A:
    """Return the account, which must be of the given type; raise DecodeError otherwise."""
    account = decode_account(data)
    if not isinstance(account, cls):
        raise DecodeError(f"the account is a {type(account).__name__}, not a {cls.__name__}")
    return account


def encode_account(account: Account) -> bytes:
    """Return the account's bytes as on chain, zero-padded to the allocated size."""
    return _CODECS[type(account)].encode(account).ljust(ALLOCATED_SIZE[type(account)], b"\0")


def field_offset(cls: type[Account], name: str) -> int:
    """Return the offset of a field in the account's bytes, for memcmp filters.

    Raises:
        KeyError: the field follows an option, so that its offset varies.
    """
    return _CODECS[cls].offset(name)
