"""How one intent becomes true on chain exactly once: state and event give state and effects.

The machine does no I/O and reads no clock. The driver and the simulator call the same function:
they perform its effects and return the observations as events. Its rules:

- the account is read before anything is signed; what is already true is not sent;
- an attempt is stored, signature and bytes, before it is first sent, and the same bytes are
  sent until it has a verdict; nothing else is signed meanwhile;
- an attempt is dead when it failed at finalized, or when the *finalized* block height has
  passed its last valid height at slot S, a node at S or later does not know its signature,
  history included, and the finalized account at S or later shows no effect;
- success is read from the finalized account, never from an answer to a send;
- only a program's rejection counts as a failure; a simulation that reached no program is
  repeated later.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from zmart_pipelines.chain.faults import Fault
from zmart_pipelines.submissions.messages import (
    AccountSeen,
    Effect,
    Event,
    HeightSeen,
    MarkDead,
    MarkLanded,
    MarkLost,
    MarkSent,
    Persisted,
    Postpone,
    ReadAccount,
    ReadHeight,
    ReadStatus,
    Send,
    Sent,
    Settle,
    Sign,
    Simulate,
    Simulated,
    StatusSeen,
    Tick,
    Unreachable,
    Unsigned,
    Verdict,
    Withheld,
)

POLL_SECONDS = 0.4
RESEND_SECONDS = 2.0
FIRST_PAUSE = 2.0
LONGEST_PAUSE = 300.0
# After a simulation that the state of the nodes or the cluster prevented.
NOT_EXECUTED_PAUSE = 10.0
MAX_FAILURES = 8

# The program or our keys are not as configured; a retry cannot succeed.
PERMANENT = frozenset(
    {
        "Unauthorized",
        "InvalidGlobalConfig",
        "InstructionFallbackNotFound",
        "InstructionDidNotDeserialize",
        "ConstraintSeeds",
        "AccountOwnedByWrongProgram",
        "AccountNotSigner",
        "BoundedLossExceeded",
    }
)


class Phase(StrEnum):
    """The phase of an intent. SENDING and LANDED have a live attempt."""

    CHECKING = "checking"
    SIMULATING = "simulating"
    SIGNING = "signing"
    SENDING = "sending"
    LANDED = "landed"
    ENDED = "ended"


class MachineState(msgspec.Struct, frozen=True):
    """The state of one intent.

    Attributes:
        phase: The phase.
        failures: Rejections by the program so far.
        last_valid: Last block height at which the attempt may land.
        sends: How often the attempt was sent.
        send_at: When to send again, in the driver's monotonic seconds.
        landed_slot: Slot in which it landed.
        expired_at: Finalized slot at which the attempt's last valid height was past.
        unknown: A node at that slot or later did not know the signature.
        certain: The block in which it landed is finalized.
    """

    phase: Phase = Phase.CHECKING
    failures: int = 0
    last_valid: int = 0
    sends: int = 0
    send_at: float = 0.0
    landed_slot: int = 0
    expired_at: int | None = None
    unknown: bool = False
    certain: bool = False


def resume(
    *, failures: int, last_valid: int | None = None, sends: int = 0, landed_slot: int | None = None
) -> MachineState:
    """Return the state of a stored intent; ``last_valid`` and on describe its live attempt."""
    if last_valid is None:
        return MachineState(failures=failures)
    return MachineState(
        phase=Phase.SENDING if landed_slot is None else Phase.LANDED,
        failures=failures,
        last_valid=last_valid,
        sends=sends,
        landed_slot=landed_slot or 0,
    )


Transition = tuple[MachineState, tuple[Effect, ...]]


def step(state: MachineState, event: Event) -> Transition:
    """Return the next state and its effects, in order. Inapplicable events change nothing."""
    match state.phase:
        case Phase.CHECKING:
            return _checking(state, event)
        case Phase.SIMULATING:
            return _simulating(state, event)
        case Phase.SIGNING:
            return _signing(state, event)
        case Phase.SENDING:
            return _sending(state, event)
        case Phase.LANDED:
            return _landed(state, event)
        case Phase.ENDED:
            return state, ()


def _replace(state: MachineState, **changes: object) -> MachineState:
    return msgspec.structs.replace(state, **changes)


def _checking(state: MachineState, event: Event) -> Transition:
    match event:
        case Tick():
            return state, (ReadAccount(),)
        case AccountSeen(verdict=Verdict.READY):
            return _replace(state, phase=Phase.SIMULATING), (Simulate(),)
        case AccountSeen(verdict=Verdict.DONE):
            return _end(state, Settle("final", "already true on chain"))
        case AccountSeen(verdict=Verdict.LOST, reason=reason):
            return _end(state, Settle("superseded", reason))
        case AccountSeen(verdict=Verdict.EARLY, reason=reason):
            return _end(state, Postpone(reason, FIRST_PAUSE, state.failures))
    return state, ()


def _simulating(state: MachineState, event: Event) -> Transition:
    match event:
        case Simulated(error=None, units=units):
            return _replace(state, phase=Phase.SIGNING), (Sign(units),)
        case Simulated(error=str(error), fault=fault) if fault is not Fault.PROGRAM:
            return _end(state, _not_executed(state, error, fault))
        case Simulated(error=str(error)):
            return _failed(state, f"simulation: {error}", error)
        case Withheld(reason=reason) | Unreachable(reason=reason):
            return _end(state, Postpone(reason, FIRST_PAUSE, state.failures))
    return state, ()


def _not_executed(state: MachineState, error: str, fault: Fault) -> Postpone:
    """Return the postponement of an intent whose simulation reached no program.

    It is not counted. The state of a node or the cluster passes by itself; the transaction as
    it was made, or its payer's balance, does not.
    """
    reason = f"simulation: not executed: {error}"
    if fault is Fault.REQUEST:
        return Postpone(reason, LONGEST_PAUSE, state.failures, needs_operator=True)
    return Postpone(reason, NOT_EXECUTED_PAUSE, state.failures)


def _signing(state: MachineState, event: Event) -> Transition:
    match event:
        case Persisted(last_valid=last_valid, now=now):
            sending = MachineState(
                phase=Phase.SENDING,
                failures=state.failures,
                last_valid=last_valid,
                send_at=now + RESEND_SECONDS,
            )
            return sending, (Send(),)
        case Unsigned(error=error):
            return _end(state, Settle("failed", f"not signed: {error}", error=error))
        case Withheld(reason=reason) | Unreachable(reason=reason):
            return _end(state, Postpone(reason, FIRST_PAUSE, state.failures))
    return state, ()


def _sending(state: MachineState, event: Event) -> Transition:
    match event:
        case Tick(now=now):
            return _send_tick(state, now)
        case Sent():
            return _replace(state, sends=state.sends + 1), (MarkSent(),)
        case HeightSeen(slot=slot, height=height) if height > state.last_valid:
            if state.expired_at is not None:
                return state, ()
            return _replace(state, expired_at=slot), (ReadStatus(history=True),)
        case StatusSeen(landed_slot=None, slot=slot):
            if state.expired_at is None or slot < state.expired_at:
                return state, ()
            return _replace(state, unknown=True), (ReadAccount(),)
        case StatusSeen(landed_slot=int(landed_slot)):
            return _status(state, event, landed_slot)
        case AccountSeen() if state.expired_at is not None and state.unknown:
            return _expired(state, event, state.expired_at)
    return state, ()


def _send_tick(state: MachineState, now: float) -> Transition:
    """Read the attempt's status at a tick, and send its bytes again when it is time."""
    if state.expired_at is not None:
        return state, (ReadStatus(history=True), ReadAccount())
    reads = (ReadStatus(history=False), ReadHeight())
    if now < state.send_at:
        return state, reads
    return _replace(state, send_at=now + RESEND_SECONDS), (Send(), *reads)


def _status(state: MachineState, event: StatusSeen, slot: int) -> Transition:
    """Handle a status of a node that knows the signature.

    An error counts only once it is finalized: the same bytes may land again, and succeed, on the
    fork that becomes final.
    """
    if event.error is not None:
        if not event.finalized:
            return state, ()
        return _failed(state, f"landed and failed: {event.error}", event.error, live=True)
    landed = MachineState(
        phase=Phase.LANDED,
        failures=state.failures,
        last_valid=state.last_valid,
        sends=state.sends,
        landed_slot=slot,
        certain=event.finalized,
    )
    return landed, (MarkLanded(slot),)


def _expired(state: MachineState, event: AccountSeen, expired_at: int) -> Transition:
    if event.slot < expired_at:
        return state, ()
    match event.verdict:
        case Verdict.DONE:
            return _end(state, Settle("final", "became true by another transaction", "dead"))
        case Verdict.LOST:
            return _end(state, Settle("superseded", event.reason, "dead"))
        case _:
            return _end(state, MarkDead("expired without landing", 0.0, state.failures))


def _landed(state: MachineState, event: Event) -> Transition:
    if state.certain:
        return _certain(state, event)
    match event:
        case Tick():
            # An outage may have lasted longer than nodes keep a signature among the recent ones.
            return state, (ReadStatus(history=True), ReadAccount())
        case StatusSeen(landed_slot=None):
            # Dropped with its fork, or the node lags: send again until one of them is certain.
            lost = MachineState(
                phase=Phase.SENDING,
                failures=state.failures,
                last_valid=state.last_valid,
                sends=state.sends,
            )
            return lost, (MarkLost(),)
        case StatusSeen(landed_slot=int(slot)):
            if event.error is not None or slot != state.landed_slot:
                return _status(state, event, slot)
            return _replace(state, certain=event.finalized), ()
        case AccountSeen(slot=slot, verdict=Verdict.DONE) if slot >= state.landed_slot:
            return _end(state, Settle("final", "landed", "final"))
    return state, ()


def _certain(state: MachineState, event: Event) -> Transition:
    """Read the account once the landing is final; a node that lags does not take it back."""
    match event:
        case Tick():
            return state, (ReadAccount(),)
        case AccountSeen(slot=slot, verdict=verdict) if slot >= state.landed_slot:
            if verdict is Verdict.DONE:
                return _end(state, Settle("final", "landed", "final"))
            if verdict is Verdict.LOST:
                return _end(state, Settle("superseded", event.reason, "final"))
            reason = "landed without its effect"
            return _end(state, Settle("quarantined", reason, "final", error=reason))
    return state, ()


def _failed(state: MachineState, reason: str, error: str, *, live: bool = False) -> Transition:
    failures = state.failures + 1
    if error in PERMANENT:
        return _end(state, Settle("failed", reason, "dead" if live else None, error))
    if failures >= MAX_FAILURES:
        return _end(state, Settle("quarantined", reason, "dead" if live else None, error))
    delay = min(FIRST_PAUSE * 2 ** (failures - 1), LONGEST_PAUSE)
    again = MarkDead if live else Postpone
    return _end(state, again(reason, delay, failures, error))


def _end(state: MachineState, effect: Effect) -> Transition:
    return _replace(state, phase=Phase.ENDED), (effect,)
