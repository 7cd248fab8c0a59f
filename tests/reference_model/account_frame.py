"""The frame of an instruction in the model: accounts, Anchor's checks, the System program.

Order of checks as Anchor generates them: every account is loaded in the order given, then
the account to create is created, then each account's constraints hold in order (seeds,
mutability, relations, conditions), then the instruction's own body runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import msgspec
from solders.pubkey import Pubkey

from zmart_pipelines.program.accounts import (
    ALLOCATED_SIZE,
    DISCRIMINATOR,
    Account,
    GlobalConfig,
    MarketAccount,
    UserPosition,
    VoteKind,
    VoteRecord,
    decode_as,
    encode_account,
)
from zmart_pipelines.program.addresses import (
    config_address,
    market_address,
    position_address,
    vote_address,
)
from zmart_pipelines.program.calls import Call, CreateMarket
from zmart_pipelines.program.codec import DecodeError
from zmart_pipelines.program.errors import ProgramError
from zmart_pipelines.program.ids import SYSTEM_PROGRAM
from zmart_pipelines.program.payout import rent_minimum

A = TypeVar("A", GlobalConfig, MarketAccount, UserPosition, VoteRecord)

CONSTRAINT_MUT: Final = 2000
CONSTRAINT_SEEDS: Final = 2006
DISCRIMINATOR_NOT_FOUND: Final = 3001
DISCRIMINATOR_MISMATCH: Final = 3002
DID_NOT_DESERIALIZE: Final = 3003
NOT_ENOUGH_KEYS: Final = 3005
WRONG_OWNER: Final = 3007
INVALID_PROGRAM_ID: Final = 3008
NOT_SIGNER: Final = 3010
NOT_INITIALIZED: Final = 3012
SYSTEM_IN_USE: Final = 0
SYSTEM_SHORT: Final = 1


class Refused(Exception):
    """The instruction fails: with a custom number, or with one of the runtime's own errors."""

    def __init__(self, error: int | str) -> None:
        super().__init__(str(error))
        self.error = error


def require(condition: bool, error: int) -> None:
    """Refuse with a custom error unless the condition holds."""
    if not condition:
        raise Refused(int(error))


def u64(value: int) -> int:
    """The value where it fits a u64; OverflowError of the program otherwise."""
    require(value < 2**64, ProgramError.OverflowError)
    return value


def u32(value: int) -> int:
    """The value where it fits a u32; OverflowError of the program otherwise."""
    require(value < 2**32, ProgramError.OverflowError)
    return value


class Cell(msgspec.Struct):
    """An account of the cluster: lamports, owner, data."""

    lamports: int
    owner: Pubkey = SYSTEM_PROGRAM
    data: bytes = b""


class Slot(msgspec.Struct, frozen=True):
    """The requirements on one position of an instruction's account list.

    ``kind`` is 'signer', 'system', 'any', or the account's type. ``create`` is None,
    'new' or 'if_needed'. ``holds`` are conditions with their error, in order.
    """

    name: str
    kind: str | type[Account]
    writable: bool = False
    create: str | None = None
    vote_kind: VoteKind | None = None
    holds: tuple[tuple[Callable[[Any], bool], int], ...] = ()


class Frame:
    """One instruction being executed: its accounts by name, loaded and checked.

    ``state`` holds the decoded program accounts. What the body assigns there is written
    back to writable slots when the instruction succeeds.
    """

    def __init__(
        self,
        program: Pubkey,
        cells: dict[Pubkey, Cell],
        keys: list[Pubkey],
        signers: set[Pubkey],
        writable: set[Pubkey],
        now: int,
    ) -> None:
        self.program = program
        self.cells = cells
        self.keys = keys
        self.signers = signers
        self.writable = writable
        self.now = now
        self.key: dict[str, Pubkey] = {}
        self.state: dict[str, Account] = {}
        self.bumps: dict[str, int] = {}
        self.slots: tuple[Slot, ...] = ()
        self.events: list[object] = []

    def lamports(self, name: str) -> int:
        """The balance of a named account."""
        cell = self.cells.get(self.key[name])
        return cell.lamports if cell else 0

    def get(self, name: str, cls: type[A]) -> A:
        """The decoded account of a slot."""
        return cast(A, self.state[name])

    def config(self) -> GlobalConfig:
        """The configuration."""
        return self.get("global_config", GlobalConfig)

    def market(self) -> MarketAccount:
        """The market."""
        return self.get("market", MarketAccount)

    def position(self) -> UserPosition:
        """The position."""
        return self.get("position", UserPosition)

    def update(self, name: str, **changes: object) -> None:
        """Change fields of a decoded account."""
        self.state[name] = msgspec.structs.replace(self.state[name], **changes)

    def open(self, slots: tuple[Slot, ...], call: Call) -> None:
        """Load, create and check all accounts; raise Refused for the first violation."""
        self.slots = slots
        for place, slot in enumerate(slots):
            require(place < len(self.keys), NOT_ENOUGH_KEYS)
            self.key[slot.name] = self.keys[place]
            if slot.create is None:
                self._load(slot)
        for slot in slots:
            if slot.create is not None:
                self._create(slot, call)
        for slot in slots:
            self._check(slot)

    def close(self) -> None:
        """Write the changed accounts back, as Anchor does when the body has succeeded."""
        for slot in self.slots:
            if slot.writable and slot.name in self.state:
                self.cells[self.key[slot.name]].data = encode_account(self.state[slot.name])

    def _load(self, slot: Slot) -> None:
        key = self.key[slot.name]
        if slot.kind == "signer":
            require(key in self.signers, NOT_SIGNER)
        elif slot.kind == "system":
            require(key == SYSTEM_PROGRAM, INVALID_PROGRAM_ID)
        elif isinstance(slot.kind, type):
            self.state[slot.name] = self._decode(key, slot.kind)

    def _decode(self, key: Pubkey, cls: type[Account]) -> Account:
        cell = self.cells.get(key, Cell(0))
        require(cell.owner != SYSTEM_PROGRAM or cell.lamports > 0, NOT_INITIALIZED)
        require(cell.owner == self.program, WRONG_OWNER)
        require(len(cell.data) >= 8, DISCRIMINATOR_NOT_FOUND)
        require(cell.data[:8] == DISCRIMINATOR[cls], DISCRIMINATOR_MISMATCH)
        try:
            return decode_as(cast("type[GlobalConfig]", cls), cell.data)
        except DecodeError:
            raise Refused(DID_NOT_DESERIALIZE) from None

    def derived(self, slot: Slot, call: Call | None = None) -> tuple[Pubkey, int]:
        """Return the address that the account of a slot must have, and its bump."""
        if slot.kind is GlobalConfig:
            return config_address(self.program)
        if slot.kind is MarketAccount:
            known = self.state.get(slot.name)
            market_id = (
                cast(MarketAccount, known).market_id
                if known is not None
                else cast(CreateMarket, call).market_id
            )
            return market_address(self.program, market_id)
        market, user = self.key["market"], self.key["user"]
        if slot.kind is UserPosition:
            return position_address(self.program, market, user)
        return vote_address(self.program, market, user, cast(VoteKind, slot.vote_kind))

    def _create(self, slot: Slot, call: Call) -> None:
        key = self.key[slot.name]
        address, self.bumps[slot.name] = self.derived(slot, call)
        require(key == address, CONSTRAINT_SEEDS)
        cls = cast(type[Account], slot.kind)
        cell = self.cells.setdefault(key, Cell(0))
        if slot.create == "if_needed" and cell.owner != SYSTEM_PROGRAM:
            self.state[slot.name] = self._decode(key, cls)
            return
        payer = next(s for s in self.slots if s.kind == "signer" and s.writable)
        size = ALLOCATED_SIZE[cls]
        missing = max(0, rent_minimum(size) - cell.lamports)
        if cell.lamports == 0 or missing:
            self.system_transfer(payer.name, slot.name, missing)
        if key not in self.writable:
            raise Refused("PrivilegeEscalation")
        require(cell.owner == SYSTEM_PROGRAM and not cell.data, SYSTEM_IN_USE)
        cell.owner = self.program
        cell.data = bytes(size)

    def _check(self, slot: Slot) -> None:
        if isinstance(slot.kind, type) and slot.create is None:
            require(self.key[slot.name] == self.derived(slot)[0], CONSTRAINT_SEEDS)
        if slot.writable and slot.create is None:
            require(self.key[slot.name] in self.writable, CONSTRAINT_MUT)
        for condition, error in slot.holds:
            require(condition(self), error)

    def system_transfer(self, source: str, target: str, amount: int) -> None:
        """A transfer by the System program, called by the program without its own seeds."""
        giver, taker = self.key[source], self.key[target]
        if not {giver, taker} <= self.writable or giver not in self.signers:
            raise Refused("PrivilegeEscalation")
        cell = self.cells.setdefault(giver, Cell(0))
        require(cell.lamports >= amount, SYSTEM_SHORT)
        cell.lamports -= amount
        self.cells.setdefault(taker, Cell(0)).lamports += amount

    def pay_from_market(self, target: str, amount: int) -> None:
        """Move lamports of the market, which must stay exempt from rent."""
        cell = self.cells[self.key["market"]]
        require(cell.lamports >= amount, ProgramError.InsufficientFunds)
        minimum = rent_minimum(ALLOCATED_SIZE[MarketAccount])
        require(cell.lamports - amount >= minimum, ProgramError.WouldBreakRentExemption)
        cell.lamports -= amount
        self.cells.setdefault(self.key[target], Cell(0)).lamports += amount
