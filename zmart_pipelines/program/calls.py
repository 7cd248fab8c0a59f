"""Encoding and decoding of the 18 instructions' data: name and arguments.

A call is 8 bytes of discriminator and its Borsh arguments. The program ignores bytes after the
arguments, and so does decoding: a call that the chain accepted must not be lost here.
"""

from __future__ import annotations

from typing import Final, get_args

import msgspec

from zmart_pipelines.program import idl
from zmart_pipelines.program.codec import Codec, DecodeError


class _Call(msgspec.Struct, frozen=True, gc=False):
    """An instruction's arguments."""

    @property
    def name(self) -> str:
        """The instruction's name in the program's interface, in snake case."""
        return _NAMES[type(self)]


class InitializeGlobalConfig(_Call, frozen=True, gc=False):
    """Creates the configuration; the first caller becomes admin."""

    backend_authority: bytes


class UpdateGlobalConfig(_Call, frozen=True, gc=False):
    """Sets all five basis-point values, and the times where given (seconds, > 0)."""

    protocol_fee_bps: int
    resolver_reward_bps: int
    liquidity_provider_fee_bps: int
    proposal_approval_threshold: int
    dispute_success_threshold: int
    min_resolution_delay: int | None
    dispute_period: int | None


class EmergencyPause(_Call, frozen=True, gc=False):
    """Toggles the pause."""


class CreateMarket(_Call, frozen=True, gc=False):
    """Proposes a market; the hash is a 46-character CIDv0 as ASCII bytes."""

    market_id: bytes
    b_parameter: int
    initial_liquidity: int
    ipfs_question_hash: bytes


class SubmitProposalVote(_Call, frozen=True, gc=False):
    """Likes (True) or dislikes a proposal."""

    vote: bool


class AggregateProposalVotes(_Call, frozen=True, gc=False):
    """Writes a proposal's counts."""

    final_likes: int
    final_dislikes: int


class ApproveProposal(_Call, frozen=True, gc=False):
    """Approves a proposal whose counts reach the threshold."""


class ActivateMarket(_Call, frozen=True, gc=False):
    """Opens trading."""


class CancelMarket(_Call, frozen=True, gc=False):
    """Cancels a market before trading."""


class BuyShares(_Call, frozen=True, gc=False):
    """Buys YES (True) or NO for at most ``target_cost`` lamports, fees included."""

    outcome: bool
    target_cost: int


class SellShares(_Call, frozen=True, gc=False):
    """Sells shares for at least ``min_proceeds`` lamports after fees."""

    outcome: bool
    shares_to_sell: int
    min_proceeds: int


class ResolveMarket(_Call, frozen=True, gc=False):
    """Proposes the outcome; the hash is a 46-character CIDv0 as ASCII bytes."""

    proposed_outcome: bool
    ipfs_evidence_hash: bytes


class InitiateDispute(_Call, frozen=True, gc=False):
    """Disputes the proposed outcome."""


class SubmitDisputeVote(_Call, frozen=True, gc=False):
    """Agrees with the dispute (True) or not."""

    vote: bool


class AggregateDisputeVotes(_Call, frozen=True, gc=False):
    """Ends a dispute without flipping anything. Decoded, never sent by this project."""

    final_agrees: int
    final_disagrees: int


class FinalizeMarket(_Call, frozen=True, gc=False):
    """Makes the outcome final; both counts for a disputed market, else None."""

    dispute_agree: int | None
    dispute_disagree: int | None


class ClaimWinnings(_Call, frozen=True, gc=False):
    """Pays out a holder's position."""


class WithdrawLiquidity(_Call, frozen=True, gc=False):
    """Pays the remaining liquidity to the creator."""


Call = (
    InitializeGlobalConfig
    | UpdateGlobalConfig
    | EmergencyPause
    | CreateMarket
    | SubmitProposalVote
    | AggregateProposalVotes
    | ApproveProposal
    | ActivateMarket
    | CancelMarket
    | BuyShares
    | SellShares
    | ResolveMarket
    | InitiateDispute
    | SubmitDisputeVote
    | AggregateDisputeVotes
    | FinalizeMarket
    | ClaimWinnings
    | WithdrawLiquidity
)


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


CALL_TYPES: Final[tuple[type[Call], ...]] = get_args(Call)
_NAMES: Final[dict[type[_Call], str]] = {cls: _snake(cls.__name__) for cls in CALL_TYPES}
_ARGS: Final = {instruction.name: instruction.args for instruction in idl.load().instructions}


def _codec(cls: type[Call]) -> Codec[Call]:
    name = _NAMES[cls]
    return Codec(cls, _ARGS[name], idl.discriminator("global", name))


_CODECS: Final = {cls: _codec(cls) for cls in CALL_TYPES}
_BY_DISCRIMINATOR: Final = {codec.discriminator: codec for codec in _CODECS.values()}


def encode_call(call: Call) -> bytes:
    """Return the instruction's data; EncodeError names an argument that does not fit."""
    return _CODECS[type(call)].encode(call)


def decode_instruction(data: bytes) -> Call:
    """Return the call in an instruction's data.

    Raises:
        DecodeError: it is not an instruction of the program.
    """
    codec = _BY_DISCRIMINATOR.get(data[:8])
    if codec is None:
        raise DecodeError(
            f"no instruction of the program starts with {data[:8].hex() or 'nothing'}"
        )
    call, _ = codec.read(data)
    return call
