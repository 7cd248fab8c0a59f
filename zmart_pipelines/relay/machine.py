"""How one relayed transaction comes to its end: state and event give state and effects. Pure.

The bytes are fixed and the network executes them at most once, so that sending again is harmless.
What must be right is the end that is recorded:

- ``finalized`` and ``failed`` are read at finalized; before, the same bytes may land on another
  fork and end differently;
- ``expired`` only when the *finalized* height has passed the last valid one at slot S, and nodes
  at slot S or later do not know the signature, history included. Two of them must say so where
  there are two; one is enough once the height is far beyond, so that a node that stays away does
  not keep the transaction open for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, TypeAlias

import msgspec

POLL_SECONDS = 0.5
RESEND_SECONDS = 2.0
# How often to look whether the block of a confirmed transaction was dropped.
CHECK_SECONDS = 2.0
# Blocks beyond the last valid height after which a single node's word is enough.
SINGLE_WITNESS_BLOCKS = 300
WITNESSES = 2


class Phase(StrEnum):
    """SENDING: it may land. CONFIRMED: it has, and may still be dropped. ENDED: nothing is left."""

    SENDING = "sending"
    CONFIRMED = "confirmed"
    ENDED = "ended"


class RelayState(msgspec.Struct, frozen=True):
    """The state of one transaction.

    Attributes:
        last_valid: Last block height at which it may land.
        endpoints: How many nodes are asked, at least 1.
        send_at: When to send again, in the driver's monotonic seconds.
        refusal: Why no node took it when it was last sent.
        landed_slot: Slot of the block that holds it; 0 where none does.
        check_at: When to ask again for the status of a confirmed one, in the same seconds.
        expired_at: Finalized slot at which the last valid height was past.
        height: The highest finalized height seen since.
    """

    last_valid: int
    endpoints: int
    phase: Phase = Phase.SENDING
    send_at: float = 0.0
    refusal: str | None = None
    landed_slot: int = 0
    check_at: float = 0.0
    expired_at: int | None = None
    height: int = 0


# --- events: what was observed ---


class Tick(msgspec.Struct, frozen=True):
    """The time is ``now``, in monotonic seconds."""

    now: float


class Sent(msgspec.Struct, frozen=True):
    """It was sent to every node. ``accepted`` took it; ``refusal`` is why none did."""

    accepted: int
    refusal: str | None = None


class HeightSeen(msgspec.Struct, frozen=True):
    """A node's finalized height and its slot."""

    slot: int
    height: int


class Landed(msgspec.Struct, frozen=True):
    """A node has it in the block of ``slot``; ``error`` as in the cluster's JSON."""

    slot: int
    finalized: bool
    error: Any = None


class Unknown(msgspec.Struct, frozen=True):
    """The nodes that answered do not know it; ``slots`` are those that each had reached.

    ``history``: they also searched what is no longer recent.
    """

    slots: tuple[int, ...]
    history: bool


Event: TypeAlias = Tick | Sent | HeightSeen | Landed | Unknown


# --- effects: what to do ---


class Send(msgspec.Struct, frozen=True):
    """Send the bytes to every node."""


class ReadStatus(msgspec.Struct, frozen=True):
    """Ask the nodes for its status, with ``history`` also among what is no longer recent."""

    history: bool


class ReadHeight(msgspec.Struct, frozen=True):
    """Ask the nodes for their finalized heights."""


class MarkSent(msgspec.Struct, frozen=True):
    """Record that a node took it."""


class MarkRefused(msgspec.Struct, frozen=True):
    """Record why no node took it."""

    reason: str


class MarkConfirmed(msgspec.Struct, frozen=True):
    """Record the slot of the block that holds it."""

    slot: int


class MarkDropped(msgspec.Struct, frozen=True):
    """Record that the block that held it is no longer on the chain."""


class Settle(msgspec.Struct, frozen=True):
    """Record its end: ``finalized``, ``failed`` (with the error) or ``expired``."""

    outcome: str
    slot: int | None = None
    error: Any = None


Effect: TypeAlias = (
    Send | ReadStatus | ReadHeight | MarkSent | MarkRefused | MarkConfirmed | MarkDropped | Settle
)
Transition: TypeAlias = tuple[RelayState, tuple[Effect, ...]]


class NodeAnswer(msgspec.Struct, frozen=True):
    """What one node, at ``slot``, says of the signature; ``landed`` is None where it knows none."""

    slot: int
    landed: Landed | None


def observation(answers: Sequence[NodeAnswer], *, history: bool) -> Landed | Unknown:
    """Return what the answers of several nodes say together.

    Finalized counts whoever says it. Otherwise the node that has come furthest is believed: one
    that lags may hold a block that was dropped since.

    Args:
        answers: Of at least one node.
        history: Whether they searched what is no longer recent.
    """
    known = [(answer.slot, answer.landed) for answer in answers if answer.landed is not None]
    for _, landed in known:
        if landed.finalized:
            return landed
    newest = max(answer.slot for answer in answers)
    for slot, landed in known:
        if slot == newest:
            return landed
    slots = tuple(answer.slot for answer in answers if answer.landed is None)
    return Unknown(slots, history)


def step(state: RelayState, event: Event) -> Transition:
    """Return the next state and its effects, in order. Inapplicable events change nothing."""
    match state.phase:
        case Phase.SENDING:
            return _sending(state, event)
        case Phase.CONFIRMED:
            return _confirmed(state, event)
        case Phase.ENDED:
            return state, ()


def _replace(state: RelayState, **changes: object) -> RelayState:
    return msgspec.structs.replace(state, **changes)


def _sending(state: RelayState, event: Event) -> Transition:
    match event:
        case Tick(now=now):
            return _sending_tick(state, now)
        case Sent(accepted=0, refusal=str(reason)):
            if reason == state.refusal:
                return state, ()
            return _replace(state, refusal=reason), (MarkRefused(reason),)
        case Sent():
            return _replace(state, refusal=None), (MarkSent(),)
        case HeightSeen(slot=slot, height=height) if height > state.last_valid:
            first = slot if state.expired_at is None else state.expired_at
            return _replace(state, expired_at=first, height=max(height, state.height)), ()
        case Landed():
            return _landed(state, event)
        case Unknown():
            return _unknown(state, event)
    return state, ()


def _sending_tick(state: RelayState, now: float) -> Transition:
    if state.expired_at is not None:
        return state, (ReadHeight(), ReadStatus(history=True))
    reads = (ReadStatus(history=False), ReadHeight())
    if now < state.send_at:
        return state, reads
    is_first = state.send_at == 0.0  # no node has anything to say of it yet
    sent = _replace(state, send_at=now + RESEND_SECONDS)
    return sent, (Send(),) if is_first else (Send(), *reads)


def _landed(state: RelayState, event: Landed) -> Transition:
    """Handle the answer of a node that has it. An error counts once it is finalized."""
    if event.error is not None:
        if not event.finalized:
            return state, ()
        return _end(state, Settle("failed", event.slot, event.error))
    if event.finalized:
        return _end(state, Settle("finalized", event.slot))
    if state.phase is Phase.CONFIRMED and event.slot == state.landed_slot:
        return state, ()
    landed = _replace(state, phase=Phase.CONFIRMED, landed_slot=event.slot)
    return landed, (MarkConfirmed(event.slot),)


def _unknown(state: RelayState, event: Unknown) -> Transition:
    if state.expired_at is None or not event.history:
        return state, ()
    witnesses = sum(slot >= state.expired_at for slot in event.slots)
    is_far_beyond = state.height > state.last_valid + SINGLE_WITNESS_BLOCKS
    needed = 1 if is_far_beyond else min(WITNESSES, state.endpoints)
    if witnesses < needed:
        return state, ()
    return _end(state, Settle("expired"))


def _confirmed(state: RelayState, event: Event) -> Transition:
    match event:
        case Tick(now=now) if now < state.check_at:
            return state, (ReadHeight(),)
        case Tick(now=now):
            checked = _replace(state, check_at=now + CHECK_SECONDS)
            return checked, (ReadStatus(history=True),)
        case HeightSeen(slot=slot) if slot >= state.landed_slot:
            return state, (ReadStatus(history=True),)
        case Landed():
            return _landed(state, event)
        case Unknown(slots=slots) if max(slots) >= state.landed_slot:
            dropped = _replace(state, phase=Phase.SENDING, landed_slot=0, send_at=0.0, check_at=0.0)
            return dropped, (MarkDropped(),)
    return state, ()


def _end(state: RelayState, effect: Settle) -> Transition:
    return _replace(state, phase=Phase.ENDED), (effect,)
