"""Instructions in a state in which they succeed, and single faults that spoil them.

The program stops at its first failing check. So the faults of an instruction are listed in the
order of its checks, and whichever are combined, the first one in the list must be the one reported.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.transaction_status import InstructionErrorFieldless

from tests.localnet_program import wire
from tests.localnet_program.wire import account, instruction
from tests.localnet_program.world import EVIDENCE, SOL, START, B, Outcome, World, key

ESCALATION = InstructionErrorFieldless.PrivilegeEscalation
PAYER, STRANGER = key(150), key(151)
ELSEWHERE = key(152).pubkey()
FOREIGN_PROGRAM = key(153).pubkey()
NOWHERE = key(154).pubkey()
SIZE = {"config": 206, "market": 488, "position": 182, "vote": 83}


@dataclass
class Slot:
    """A place in the account list. `kind` is signer, any, new, system, or a typed account."""

    name: str
    kind: str
    flags: str = ""
    key: Pubkey | None = None  # None: derived when the instruction is sent


@dataclass
class Attempt:
    """One instruction with all it depends on; `world` lends the chain and the keys."""

    world: World
    name: str
    slots: list[Slot]
    arguments: list[bytes]
    config: wire.Config
    market: wire.Market
    position: wire.Position
    absent: frozenset[str] = frozenset({"vote"})  # of config, market, position, vote
    now: int = START + 1000
    market_lamports: int = 100 * SOL
    position_owner: Pubkey = wire.PROGRAM
    position_lamports: int = wire.RENT[182]
    position_data: bytes | None = None
    user_lamports: int = 100 * SOL
    extra: list[tuple[Pubkey, bytes, Pubkey]] = field(default_factory=list)
    discriminator: bytes | None = None
    cut_arguments: bool = False
    cut_accounts: int | None = None

    def slot(self, name: str) -> Slot:
        return next(slot for slot in self.slots if slot.name == name)

    def key_of(self, name: str) -> Pubkey:
        """The account at a place, derived from the others where it has no key of its own."""
        slot = self.slot(name)
        if slot.key is not None:
            return slot.key
        if name == "global_config":
            return wire.config_address()[0]
        if name == "market":
            return wire.market_address(self.market.market_id)[0]
        market, user = self.key_of("market"), self.key_of("user")
        if name == "position":
            return wire.position_address(market, user)[0]
        kind = wire.DISPUTE if "dispute" in self.name else wire.PROPOSAL
        return wire.vote_address(market, user, kind)[0]

    def _place_of(self, slot: str, otherwise: Pubkey) -> Pubkey:
        """Return an account's address: that in the list, if it is derived."""
        derived = any(place.name == slot and place.key is None for place in self.slots)
        return self.key_of(slot) if derived else otherwise

    def _prepare(self) -> None:
        world = self.world
        world.set_time(self.now)
        wallets = [world.admin, world.backend, world.creator, world.resolver, world.users[0]]
        for person in wallets:
            world.put(person.pubkey(), b"", wire.SYSTEM, self.user_lamports)
        for where in (STRANGER.pubkey(), PAYER.pubkey()):
            world.put(where, b"", wire.SYSTEM, 100 * SOL)
        market_at = wire.market_address(self.market.market_id)[0]
        user = world.users[0].pubkey()
        contents = [
            ("config", wire.config_address()[0], self.config.pack(), SOL),
            ("market", market_at, self.market.pack(), self.market_lamports),
            ("vote", self._place_of("vote_record", NOWHERE), bytes(83), SOL),
        ]
        for what, where, data, lamports in contents:
            if what in self.absent:
                world.put(where, b"", wire.SYSTEM, 0)
            else:
                world.put(where, data, wire.PROGRAM, lamports)
        position_at = self._place_of("position", wire.position_address(market_at, user)[0])
        if "position" in self.absent:
            world.put(position_at, b"", wire.SYSTEM, 0)
        else:
            data = self.position_data or self.position.pack()
            world.put(position_at, data, self.position_owner, self.position_lamports)
        for where, data, owner in self.extra:
            world.put(where, data, owner)

    def send(self) -> Outcome:
        self._prepare()
        world = self.world
        wallets = [
            *(world.admin, world.backend, world.creator, world.resolver, world.users[0]),
            STRANGER,
        ]
        keypairs = {person.pubkey(): person for person in wallets}
        metas = [account(self.key_of(slot.name), slot.flags) for slot in self.slots]
        metas = metas[: self.cut_accounts]
        ix = instruction(self.name, metas, *self.arguments)
        data = bytes(ix.data)
        if self.cut_arguments:
            data = data[:-1]
        if self.discriminator is not None:
            data = self.discriminator + data[8:]
        ix = type(ix)(wire.PROGRAM, data, metas)
        signers: list[Keypair] = [keypairs[meta.pubkey] for meta in metas if meta.is_signer]
        return world.send(ix, PAYER, *signers)


Apply = Callable[[Attempt], object]


@dataclass(frozen=True)
class Fault:
    """A way to make an attempt fail, and the program's error.

    `culprit` is the account that the error line names, "thrown" for a check in the handler,
    "occurred" for the framework's own, "" for an error of the runtime without a line. Two
    faults that touch the same thing cannot be combined.
    """

    name: str
    code: object
    culprit: str
    touches: frozenset[str]
    apply: Apply


def fault(name: str, code: object, culprit: str, touches: str, apply: Apply) -> Fault:
    return Fault(name, code, culprit, frozenset(touches.split()), apply)


def _set(target: str, name: str, value: object) -> Apply:
    def apply(attempt: Attempt) -> None:
        if target == "":
            setattr(attempt, name, value)
        else:
            setattr(attempt, target, replace(getattr(attempt, target), **{name: value}))

    return apply


def change(what: str, value: object, code: object, culprit: str = "thrown") -> Fault:
    """A fault in the state: `what` is like "market.state", "now" or "arguments.2"."""
    target, _, name = what.rpartition(".")
    if target == "arguments":

        def apply(attempt: Attempt) -> None:
            assert isinstance(value, bytes)
            attempt.arguments[int(name)] = value

        return fault(f"{what}={value!r}", code, culprit, what, apply)
    return fault(f"{what}={value!r}", code, culprit, what, _set(target, name, value))


def signed_by_stranger(slot: str, culprit: str | None = None, code: int = 6029) -> Fault:
    def apply(attempt: Attempt) -> None:
        attempt.slot(slot).key = STRANGER.pubkey()

    return fault(f"{slot} is a stranger", code, culprit or slot, f"{slot}.key", apply)


def other_account(slot: str, code: int) -> Fault:
    def apply(attempt: Attempt) -> None:
        attempt.slot(slot).key = ELSEWHERE

    return fault(f"{slot} is another account", code, slot, f"{slot}.key", apply)


def _flag_off(slot: str, letter: str) -> Apply:
    def apply(attempt: Attempt) -> None:
        place = attempt.slot(slot)
        place.flags = place.flags.replace(letter, "")

    return apply


def readonly(slot: str, code: object = 2000, also: str = "") -> Fault:
    culprit = slot if code == 2000 else ""
    touches = f"{slot}.writable {also}"
    return fault(f"{slot} is read-only", code, culprit, touches, _flag_off(slot, "w"))


def copied(slot: str) -> Fault:
    """The right contents at an address that is not the program's for them."""

    def apply(attempt: Attempt) -> None:
        contents = {
            "global_config": attempt.config.pack(),
            "market": attempt.market.pack(),
            "position": attempt.position.pack(),
        }[slot]
        where = Pubkey(bytes([len(slot)]) * 32)
        attempt.extra.append((where, contents, wire.PROGRAM))
        attempt.slot(slot).key = where

    return fault(f"{slot} at a wrong address", 2006, slot, f"{slot}.key", apply)


def _replaced(slot: str, data: bytes, owner: Pubkey) -> Apply:
    def apply(attempt: Attempt) -> None:
        where = Pubkey(bytes([100 + len(slot)]) * 32)
        attempt.extra.append((where, data, owner))
        attempt.slot(slot).key = where

    return apply


def _typed_faults(slot: str) -> list[Fault]:
    own = {
        "global_config": "GlobalConfig",
        "market": "MarketAccount",
        "position": "UserPosition",
    }[slot]
    mine = bytes.fromhex(wire.ACCOUNT[own])
    other = bytes.fromhex(wire.ACCOUNT["VoteRecord"])

    def spoil(name: str, code: int, data: bytes, owner: Pubkey) -> Fault:
        return fault(f"{slot} {name}", code, slot, f"{slot}.key", _replaced(slot, data, owner))

    return [
        fault(
            f"{slot} does not exist",
            3012,
            slot,
            f"{slot}.key",
            lambda attempt: setattr(attempt.slot(slot), "key", ELSEWHERE),
        ),
        spoil("belongs to a wallet", 3007, b"", wire.SYSTEM),
        spoil("belongs to another program", 3007, mine + bytes(500), FOREIGN_PROGRAM),
        spoil("is too short for a type", 3001, mine[:7], wire.PROGRAM),
        spoil("is of another type", 3002, other + bytes(500), wire.PROGRAM),
        spoil("is cut off", 3003, mine + bytes(60), wire.PROGRAM),
    ]


def _missing(index: int, slot: Slot, following: list[Slot]) -> Fault:
    touches = {f"{s.name}.{what}" for s in following for what in ("key", "writable", "signer")}
    culprit = "occurred" if slot.kind == "new" else slot.name
    return Fault(
        f"{slot.name} is missing",
        3005,
        culprit,
        frozenset(touches | {"creation", "count"}),
        lambda attempt: setattr(attempt, "cut_accounts", index),
    )


def account_faults(attempt: Attempt) -> list[Fault]:
    """Return the faults that are detected before any constraint is checked, in order."""
    faults = [
        fault(
            "unknown instruction",
            101,
            "occurred",
            "discriminator",
            lambda a: setattr(a, "discriminator", bytes(8)),
        )
    ]
    if attempt.arguments:
        faults.append(
            fault(
                "arguments are cut off",
                102,
                "occurred",
                "length",
                lambda a: setattr(a, "cut_arguments", True),
            )
        )
    for index, slot in enumerate(attempt.slots):
        faults.append(_missing(index, slot, attempt.slots[index:]))
        if slot.kind == "signer":
            faults.append(
                fault(
                    f"{slot.name} has not signed",
                    3010,
                    slot.name,
                    f"{slot.name}.signer {slot.name}.key",
                    _flag_off(slot.name, "s"),
                )
            )
        elif slot.kind == "system":
            faults.append(other_account(slot.name, 3008))
        elif slot.kind == "typed":
            faults += _typed_faults(slot.name)
    return faults


def creating(slot: str, payer: str) -> list[Fault]:
    """What can be wrong with an account that the instruction creates, in order."""
    what = {"global_config": "config", "vote_record": "vote"}.get(slot, slot)

    def occupy(attempt: Attempt) -> None:
        attempt.absent -= {what}

    occupied = fault("the account exists", 0, "", "creation", occupy)
    return [
        other_account(slot, 2006),
        readonly(slot, ESCALATION),
        *([] if slot == "position" else [occupied]),
        readonly(payer, ESCALATION, also="creation"),
        fault(
            f"{payer} cannot pay the rent",
            1,
            "",
            "creation user_lamports",
            lambda a: setattr(a, "user_lamports", 1_000_000),
        ),
    ]


def base(world: World, name: str, slots: list[Slot], *arguments: bytes) -> Attempt:
    """An attempt on a market that is Active and has been traded; callers change the state."""
    market_at, bump = wire.market_address(world.market_id)
    user = world.users[0].pubkey()
    return Attempt(
        world=world,
        name=name,
        slots=slots,
        arguments=list(arguments),
        config=wire.Config(
            world.admin.pubkey(),
            world.backend.pubkey(),
            world.fee_wallet,
            dispute_period=500,
            bump=wire.config_address()[1],
        ),
        market=wire.Market(
            market_id=world.market_id,
            creator=world.creator.pubkey(),
            b_parameter=B,
            initial_liquidity=10 * SOL,
            ipfs_evidence_hash=EVIDENCE,
            bump=bump,
            state=wire.ACTIVE,
            current_liquidity=10 * SOL,
            shares_yes=5 * SOL,
            shares_no=SOL,
            created_at=START,
            resolver=world.resolver.pubkey(),
        ),
        position=wire.Position(
            market_at,
            user,
            wire.position_address(market_at, user)[1],
            shares_yes=2 * SOL,
            total_invested=SOL,
            trades_count=1,
        ),
    )
