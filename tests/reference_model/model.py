"""The program as a pure model: accounts and a call in, accounts and events out.

All 18 instructions with their checks, effects, lamport movements, errors and events, as in the
deployed program. The model and the local chain's reference program were written independently of
each other; tests compare them step by step.

``Model.process`` executes one transaction with one instruction. It leaves ``cells`` as the
cluster would, also when the instruction fails (then only the fee is charged).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Final, cast

import msgspec
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from tests.reference_model.account_frame import Cell, Frame, Refused, Slot
from tests.reference_model.instruction_bodies import BODIES
from zmart_pipelines.program import calls, events, idl, lmsr
from zmart_pipelines.program.accounts import (
    GlobalConfig,
    MarketAccount,
    MarketState,
    UserPosition,
    VoteKind,
    VoteRecord,
)
from zmart_pipelines.program.codec import DecodeError
from zmart_pipelines.program.errors import ProgramError
from zmart_pipelines.program.ids import SYSTEM_PROGRAM
from zmart_pipelines.program.payout import rent_minimum

FEE_PER_SIGNATURE: Final = 5_000
FALLBACK_NOT_FOUND: Final = 101
DID_NOT_DESERIALIZE: Final = 102
HAS_ONE: Final = 2001

_DISCRIMINATORS: Final = {
    idl.discriminator("global", instruction.name) for instruction in idl.load().instructions
}

E = ProgramError
S = MarketState


def _in(*states: MarketState) -> Callable[[Frame], bool]:
    return lambda frame: frame.market().state in states


_ADMIN = (lambda f: f.config().admin == bytes(f.key["admin"]), E.Unauthorized)
_BACKEND = (
    lambda f: f.config().backend_authority == bytes(f.key["backend_authority"]),
    E.Unauthorized,
)
_FEE_WALLET = (
    lambda f: f.config().protocol_fee_wallet == bytes(f.key["protocol_fee_wallet"]),
    E.Unauthorized,
)

_CONFIG: Final = Slot("global_config", GlobalConfig)
_ADMIN_CONFIG: Final = Slot("global_config", GlobalConfig, holds=(_ADMIN,))
_ADMIN_WRITES_CONFIG: Final = Slot("global_config", GlobalConfig, writable=True, holds=(_ADMIN,))
_MARKET: Final = Slot("market", MarketAccount, writable=True)
_USER: Final = Slot("user", "signer", writable=True)
_SYSTEM: Final = Slot("system_program", "system")
_WALLET: Final = Slot("protocol_fee_wallet", "any", writable=True, holds=(_FEE_WALLET,))
_AUTHORITY: Final = Slot("backend_authority", "signer", holds=(_BACKEND,))


def _market_in(*states: MarketState, error: ProgramError = E.InvalidMarketState) -> Slot:
    return Slot("market", MarketAccount, writable=True, holds=((_in(*states), error),))


def _vote_slots(state: MarketState, kind: VoteKind) -> tuple[Slot, ...]:
    return (
        Slot("market", MarketAccount, holds=((_in(state), E.InvalidStateForVoting),)),
        Slot("vote_record", VoteRecord, writable=True, create="new", vote_kind=kind),
        _USER,
        _SYSTEM,
    )


SLOTS: Final[Mapping[type[calls.Call], tuple[Slot, ...]]] = {
    calls.InitializeGlobalConfig: (
        Slot("admin", "signer", writable=True),
        Slot("global_config", GlobalConfig, writable=True, create="new"),
        Slot("protocol_fee_wallet", "any"),
        _SYSTEM,
    ),
    calls.CreateMarket: (
        Slot("creator", "signer", writable=True),
        Slot("market", MarketAccount, writable=True, create="new"),
        _CONFIG,
        _SYSTEM,
    ),
    calls.SubmitProposalVote: _vote_slots(S.PROPOSED, VoteKind.PROPOSAL),
    calls.SubmitDisputeVote: _vote_slots(S.DISPUTED, VoteKind.DISPUTE),
    calls.AggregateProposalVotes: (
        _market_in(S.PROPOSED, error=E.InvalidStateForVoting),
        _CONFIG,
        _AUTHORITY,
    ),
    calls.AggregateDisputeVotes: (
        _market_in(S.DISPUTED, error=E.InvalidStateForVoting),
        _CONFIG,
        _AUTHORITY,
    ),
    calls.ApproveProposal: (Slot("admin", "signer", writable=True), _MARKET, _ADMIN_CONFIG),
    calls.ActivateMarket: (
        Slot(
            "authority",
            "signer",
            writable=True,
            holds=(
                (
                    lambda f: bytes(f.key["authority"]) in (f.config().admin, f.market().creator),
                    E.Unauthorized,
                ),
            ),
        ),
        _MARKET,
        _CONFIG,
    ),
    calls.BuyShares: (
        _CONFIG,
        _market_in(S.ACTIVE),
        Slot("position", UserPosition, writable=True, create="if_needed"),
        _USER,
        _WALLET,
        _SYSTEM,
    ),
    calls.SellShares: (
        _CONFIG,
        _market_in(S.ACTIVE),
        Slot(
            "position",
            UserPosition,
            writable=True,
            holds=((lambda f: f.position().user == bytes(f.key["user"]), E.Unauthorized),),
        ),
        _USER,
        _WALLET,
        _SYSTEM,
    ),
    calls.ResolveMarket: (
        _CONFIG,
        _market_in(S.ACTIVE),
        Slot("resolver", "signer", writable=True),
    ),
    calls.InitiateDispute: (_CONFIG, _market_in(S.RESOLVING), Slot("initiator", "signer")),
    calls.FinalizeMarket: (_CONFIG, _market_in(S.RESOLVING, S.DISPUTED), _AUTHORITY),
    calls.ClaimWinnings: (
        _CONFIG,
        _market_in(S.FINALIZED),
        Slot(
            "position",
            UserPosition,
            writable=True,
            holds=(
                (lambda f: f.position().user == bytes(f.key["user"]), HAS_ONE),
                (lambda f: not f.position().has_claimed, E.AlreadyClaimed),
            ),
        ),
        _USER,
        Slot(
            "resolver",
            "any",
            writable=True,
            holds=((lambda f: f.market().resolver == bytes(f.key["resolver"]), E.InvalidResolver),),
        ),
        _SYSTEM,
    ),
    calls.WithdrawLiquidity: (
        Slot(
            "market",
            MarketAccount,
            writable=True,
            holds=(
                (lambda f: f.market().creator == bytes(f.key["creator"]), E.Unauthorized),
                (_in(S.FINALIZED), E.InvalidMarketState),
            ),
        ),
        Slot("creator", "signer", writable=True),
    ),
    calls.UpdateGlobalConfig: (Slot("admin", "signer"), _ADMIN_WRITES_CONFIG),
    calls.EmergencyPause: (Slot("admin", "signer"), _ADMIN_WRITES_CONFIG),
    calls.CancelMarket: (Slot("admin", "signer"), _MARKET, _ADMIN_CONFIG),
}


class Result(msgspec.Struct):
    """The result of a transaction.

    ``error``: None, a custom number or a runtime error's name where the instruction
    failed; ``rent_broken`` names the account that would be left below the rent minimum.
    ``unpaid``: the fee payer could not pay, nothing happened.
    """

    error: int | str | None
    events: list[events.Event]
    rent_broken: Pubkey | None = None
    unpaid: bool = False


class Model:
    """A cluster with this one program. ``cells`` holds every account; the clock is given."""

    def __init__(self, program: Pubkey) -> None:
        self.program = program
        self.cells: dict[Pubkey, Cell] = {}

    def process(self, instruction: Instruction, payer: Pubkey, now: int) -> Result:
        """Execute one transaction with one instruction, signed by all required signers."""
        keys = [meta.pubkey for meta in instruction.accounts]
        signers = {meta.pubkey for meta in instruction.accounts if meta.is_signer} | {payer}
        writable = {meta.pubkey for meta in instruction.accounts if meta.is_writable} | {payer}
        writable -= {SYSTEM_PROGRAM, self.program}
        fee = FEE_PER_SIGNATURE * len(signers)
        wallet = self.cells.get(payer, Cell(0))
        left = wallet.lamports - fee
        if left < 0:
            return Result(None, [], unpaid=True)
        if self._breaks_rent(wallet, Cell(left)):
            return Result(None, [], rent_broken=payer)
        wallet.lamports = left
        view = {
            key: copy.copy(self.cells.get(key, Cell(0))) for key in dict.fromkeys([payer, *keys])
        }
        frame = Frame(self.program, view, keys, signers, writable, now)
        try:
            self._execute(frame, bytes(instruction.data))
        except Refused as refusal:
            return Result(refusal.error, [])
        except lmsr.LmsrError as refusal:
            return Result(int(refusal.code), [])
        for key in writable & view.keys():
            if self._breaks_rent(self.cells.get(key, Cell(0)), view[key]):
                return Result(None, [], rent_broken=key)
        self.cells |= view
        return Result(None, cast("list[events.Event]", frame.events))

    @staticmethod
    def _breaks_rent(old: Cell, new: Cell) -> bool:
        """Return whether an account would be left between zero and its rent minimum.

        An account that was there before may stay there, as long as it gains no lamports.
        """
        minimum = rent_minimum(len(new.data))
        if new.lamports == 0 or new.lamports >= minimum:
            return False
        return not (0 < old.lamports < minimum and new.lamports <= old.lamports)

    def _execute(self, frame: Frame, data: bytes) -> None:
        try:
            call = calls.decode_instruction(data)
        except DecodeError:
            known = data[:8] in _DISCRIMINATORS
            raise Refused(DID_NOT_DESERIALIZE if known else FALLBACK_NOT_FOUND) from None
        frame.open(SLOTS[type(call)], call)
        BODIES[type(call)](frame, call)
        frame.close()
