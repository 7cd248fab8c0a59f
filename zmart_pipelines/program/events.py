"""The 18 events and their exact bytes.

An event is 8 bytes of discriminator and its Borsh fields, with nothing after them. Builds of
the program before 2025-11-10 wrote two of them differently under the same discriminator; the
length determines the layout, and one struct holds both:

- WinningsClaimed, 96 bytes: market id, user, amount, resolver fee, time; no address and
  no outcome. Now 89 or 90 bytes: market address, user, outcome, amount, time.
- ConfigUpdated, 26 bytes: without the two periods. Now 42 bytes.

``market_id`` is the id, ``market`` the account's address. Amounts in lamports, shares and
prices with 9 decimals, times the cluster's Unix seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, get_args

import msgspec

from zmart_pipelines.program import idl
from zmart_pipelines.program.codec import Codec, DecodeError, EncodeError
from zmart_pipelines.program.idl import Compound, Field


class GlobalConfigInitialized(msgspec.Struct, frozen=True, gc=False):
    """The program's configuration was created."""

    admin: bytes
    backend_authority: bytes
    protocol_fee_bps: int
    timestamp: int


class ConfigUpdated(msgspec.Struct, frozen=True, gc=False):
    """The configuration from this transaction on; the periods are None in the older layout."""

    protocol_fee_bps: int
    resolver_reward_bps: int
    liquidity_provider_fee_bps: int
    proposal_approval_threshold: int
    dispute_success_threshold: int
    min_resolution_delay: int | None
    dispute_period: int | None
    timestamp: int


class ProtocolPauseStatusChanged(msgspec.Struct, frozen=True, gc=False):
    """The admin paused or unpaused creation and trading."""

    is_paused: bool
    paused_by: bytes
    timestamp: int


class MarketCreated(msgspec.Struct, frozen=True, gc=False):
    """A market was proposed. Only the instruction holds its liquidity and question."""

    market_id: bytes
    creator: bytes
    b_parameter: int
    state: int
    timestamp: int


class ProposalVoteSubmitted(msgspec.Struct, frozen=True, gc=False):
    """A wallet voted on chain on a proposal; True is a like."""

    market_id: bytes
    user: bytes
    vote: bool
    timestamp: int


class ProposalAggregated(msgspec.Struct, frozen=True, gc=False):
    """The authority wrote the proposal's counts. The state stays the same in any case."""

    market_id: bytes
    likes: int
    dislikes: int
    approval_percentage: int
    approved: bool
    timestamp: int


class ProposalApproved(msgspec.Struct, frozen=True, gc=False):
    """The admin approved the proposal."""

    market_id: bytes
    approved_by: bytes
    timestamp: int


class MarketActivated(msgspec.Struct, frozen=True, gc=False):
    """Trading began."""

    market_id: bytes
    creator: bytes
    initial_liquidity: int
    timestamp: int


class MarketCancelled(msgspec.Struct, frozen=True, gc=False):
    """The admin cancelled the market before trading."""

    market_id: bytes
    cancelled_by: bytes
    cancelled_at: int


class SharesBought(msgspec.Struct, frozen=True, gc=False):
    """A buy; ``cost`` is the total paid, fees included, the price is the one after it."""

    market_id: bytes
    user: bytes
    outcome: bool
    shares: int
    cost: int
    new_price_yes: int
    timestamp: int


class SharesSold(msgspec.Struct, frozen=True, gc=False):
    """A sale; ``proceeds`` is what the seller received after fees."""

    market_id: bytes
    user: bytes
    outcome: bool
    shares: int
    proceeds: int
    new_price_yes: int
    timestamp: int


class MarketResolved(msgspec.Struct, frozen=True, gc=False):
    """An outcome was proposed; the dispute window opened."""

    market_id: bytes
    resolver: bytes
    outcome: bool
    evidence_hash: bytes
    timestamp: int


class DisputeInitiated(msgspec.Struct, frozen=True, gc=False):
    """The proposed outcome was disputed."""

    market_id: bytes
    initiator: bytes
    disputed_outcome: bool | None
    timestamp: int


class DisputeVoteSubmitted(msgspec.Struct, frozen=True, gc=False):
    """A wallet voted on chain on a dispute; True means that the outcome is wrong."""

    market_id: bytes
    user: bytes
    vote: bool
    timestamp: int


class DisputeAggregated(msgspec.Struct, frozen=True, gc=False):
    """aggregate_dispute_votes ran: the market is Resolving again, or Finalized without outcome.

    No MarketFinalized follows; only the account shows the new state for certain.
    """

    market_id: bytes
    agrees: int
    disagrees: int
    agreement_percentage: int
    dispute_succeeded: bool
    timestamp: int


class MarketFinalized(msgspec.Struct, frozen=True, gc=False):
    """The outcome is final."""

    market_id: bytes
    final_outcome: bool | None
    was_disputed: bool
    timestamp: int


class WinningsClaimed(msgspec.Struct, frozen=True, gc=False):
    """A holder was paid.

    The older layout has ``market_id`` and ``resolver_fee`` in place of ``market`` and
    ``outcome``; the two fields that a layout lacks are None.
    """

    market: bytes | None
    user: bytes
    outcome: bool | None
    amount: int
    timestamp: int
    market_id: bytes | None = None
    resolver_fee: int | None = None


class LiquidityWithdrawn(msgspec.Struct, frozen=True, gc=False):
    """The creator withdrew the market's balance above its rent."""

    market_id: bytes
    creator: bytes
    amount: int
    timestamp: int


Event = (
    GlobalConfigInitialized
    | ConfigUpdated
    | ProtocolPauseStatusChanged
    | MarketCreated
    | ProposalVoteSubmitted
    | ProposalAggregated
    | ProposalApproved
    | MarketActivated
    | MarketCancelled
    | SharesBought
    | SharesSold
    | MarketResolved
    | DisputeInitiated
    | DisputeVoteSubmitted
    | DisputeAggregated
    | MarketFinalized
    | WinningsClaimed
    | LiquidityWithdrawn
)

EVENT_TYPES: Final[tuple[type[Event], ...]] = get_args(Event)

_OLDER_FIELDS: Final[dict[type[Event], tuple[Field, ...]]] = {
    WinningsClaimed: (
        Field("market_id", Compound(array=("u8", 32))),
        Field("user", "pubkey"),
        Field("amount", "u64"),
        Field("resolver_fee", "u64"),
        Field("timestamp", "i64"),
    ),
    ConfigUpdated: (
        Field("protocol_fee_bps", "u16"),
        Field("resolver_reward_bps", "u16"),
        Field("liquidity_provider_fee_bps", "u16"),
        Field("proposal_approval_threshold", "u16"),
        Field("dispute_success_threshold", "u16"),
        Field("timestamp", "i64"),
    ),
}


Reader = Callable[[bytes], Event]


def _codec(cls: type[Event], fields: tuple[Field, ...]) -> Codec[Event]:
    return Codec(cls, fields, idl.discriminator("event", cls.__name__))


_CODECS: Final = {cls: _codec(cls, idl.load().type(cls.__name__).fields) for cls in EVENT_TYPES}
_OLDER: Final = {cls: _codec(cls, fields) for cls, fields in _OLDER_FIELDS.items()}


def _readers() -> dict[bytes, dict[int, Reader]]:
    """Return the reader of each layout, by discriminator and exact length in bytes."""
    table: dict[bytes, dict[int, Reader]] = {}
    for codec in (*_CODECS.values(), *_OLDER.values()):
        reader = codec.exact_reader()
        lengths = table.setdefault(codec.discriminator, {})
        for length in codec.lengths:
            if length in lengths:
                raise idl.IdlError(f"{codec.cls.__name__}: two layouts of {length} bytes")
            lengths[length] = reader
    return table


_READERS: Final = _readers()
_NO_LENGTHS: Final[dict[int, Reader]] = {}


def decode_event(data: bytes) -> Event:
    """Return the event encoded in ``data``, which must hold nothing else.

    Raises:
        DecodeError: the discriminator is unknown, the length does not match the event, or a
            bool or option tag is neither 0 nor 1.
    """
    reader = _READERS.get(data[:8], _NO_LENGTHS).get(len(data))
    if reader is None:
        raise DecodeError(_reason(data))
    return reader(data)


def _reason(data: bytes) -> str:
    lengths = _READERS.get(data[:8])
    if lengths is None:
        return f"no event of the program starts with {data[:8].hex() or 'nothing'}"
    name = next(c.cls.__name__ for c in _CODECS.values() if c.discriminator == data[:8])
    known = " or ".join(str(length) for length in sorted(lengths))
    return f"{name}: has {len(data)} bytes, must have {known}"


def encode_event(event: Event) -> bytes:
    """Return the event's bytes, in the layout that the event was decoded from."""
    codec = _CODECS[type(event)]
    if isinstance(event, WinningsClaimed):
        if event.market is None:
            codec = _OLDER[WinningsClaimed]
        elif event.market_id is not None or event.resolver_fee is not None:
            raise EncodeError("WinningsClaimed: fields of both layouts are set")
    elif isinstance(event, ConfigUpdated) and event.dispute_period is None:
        codec = _OLDER[ConfigUpdated]
    return codec.encode(event)


def event_name(event: Event) -> str:
    """Return the event's name in the program's interface."""
    return type(event).__name__
