"""How one intent becomes true on chain exactly once: state and event give state and effects.

The machine does no I/O and reads no clock. The shell and the simulator drive this same
function: they perform its effects and hand back what was seen as events. Its rules:

- the account is read before anything is signed; what is already true is not sent again;
- an attempt is stored, signature and bytes, before it is first sent, and the same bytes are
  sent until it has a verdict; nothing else is signed meanwhile;
- an attempt is dead when it failed at finalized, or when the *finalized* block height has
  passed its last valid height at slot S, a node at S or later does not know its signature,
  history included, and the finalized account at S or later shows no effect;
- success is read from the finalized account, never from an answer to a send.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

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
MAX_FAILURES = 8

# The program or our keys are not what we think; trying again cannot help.
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
    """Where an intent stands. SENDING and LANDED have a live attempt."""

    CHECKING = "checking"
    SIMULATING = "simulating"
    SIGNING = "signing"
    SENDING = "sending"
    LANDED = "landed"
    ENDED = "ended"


class MachineState(msgspec.Struct, frozen=True):
    """The state. Heights are block heights, slots are slots, times are the shell's seconds.

    ``expired_at``: finalized slot at which the attempt's last valid height was past.
    ``unknown``: a node at that slot or later did not know the signature.
    ``certain``: the block in which it landed is finalized.
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
    """The state of a stored intent; ``last_valid`` and on describe its live attempt, if any."""
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


def step(work: MachineState, event: Event) -> Transition:
    """The next state and what is to be done, in order. Events that do not fit change nothing."""
    match work.phase:
        case Phase.CHECKING:
            return _checking(work, event)
        case Phase.SIMULATING:
            return _simulating(work, event)
        case Phase.SIGNING:
            return _signing(work, event)
        case Phase.SENDING:
            return _sending(work, event)
        case Phase.LANDED:
            return _landed(work, event)
        case Phase.ENDED:
            return work, ()


def _replace(work: MachineState, **changes: object) -> MachineState:
    return msgspec.structs.replace(work, **changes)


def _checking(work: MachineState, event: Event) -> Transition:
    match event:
        case Tick():
            return work, (ReadAccount(),)
        case AccountSeen(verdict=Verdict.READY):
            return _replace(work, phase=Phase.SIMULATING), (Simulate(),)
        case AccountSeen(verdict=Verdict.DONE):
            return _end(work, Settle("final", "already so on chain"))
        case AccountSeen(verdict=Verdict.LOST, reason=reason):
            return _end(work, Settle("superseded", reason))
        case AccountSeen(verdict=Verdict.EARLY, reason=reason):
            return _end(work, Postpone(reason, FIRST_PAUSE, work.failures))
    return work, ()


def _simulating(work: MachineState, event: Event) -> Transition:
    match event:
        case Simulated(error=None, units=units):
            return _replace(work, phase=Phase.SIGNING), (Sign(units),)
        case Simulated(error=str(error)):
            return _failed(work, f"simulation: {error}", error)
        case Unreachable(reason=reason):
            return _end(work, Postpone(reason, FIRST_PAUSE, work.failures))
    return work, ()


def _signing(work: MachineState, event: Event) -> Transition:
    match event:
        case Persisted(last_valid=last_valid, now=now):
            sending = MachineState(
                phase=Phase.SENDING,
                failures=work.failures,
                last_valid=last_valid,
                send_at=now + RESEND_SECONDS,
            )
            return sending, (Send(),)
        case Unsigned(error=error):
            return _end(work, Settle("failed", f"not signed: {error}", error=error))
        case Withheld(reason=reason) | Unreachable(reason=reason):
            return _end(work, Postpone(reason, FIRST_PAUSE, work.failures))
    return work, ()


def _sending(work: MachineState, event: Event) -> Transition:
    match event:
        case Tick(now=now):
            if work.expired_at is not None:
                return work, (ReadStatus(history=True), ReadAccount())
            reads = (ReadStatus(history=False), ReadHeight())
            if now < work.send_at:
                return work, reads
            return _replace(work, send_at=now + RESEND_SECONDS), (Send(), *reads)
        case Sent():
            return _replace(work, sends=work.sends + 1), (MarkSent(),)
        case HeightSeen(slot=slot, height=height) if height > work.last_valid:
            if work.expired_at is not None:
                return work, ()
            return _replace(work, expired_at=slot), (ReadStatus(history=True),)
        case StatusSeen(landed_slot=None, slot=slot):
            if work.expired_at is None or slot < work.expired_at:
                return work, ()
            return _replace(work, unknown=True), (ReadAccount(),)
        case StatusSeen(landed_slot=int(landed_slot)):
            return _status(work, event, landed_slot)
        case AccountSeen() if work.expired_at is not None and work.unknown:
            return _expired(work, event, work.expired_at)
    return work, ()


def _status(work: MachineState, event: StatusSeen, slot: int) -> Transition:
    """A node knows the signature. An error counts only once it is final: the same bytes may
    land again, and succeed, on the fork that wins.
    """
    if event.error is not None:
        if not event.finalized:
            return work, ()
        return _failed(work, f"landed and failed: {event.error}", event.error, live=True)
    landed = MachineState(
        phase=Phase.LANDED,
        failures=work.failures,
        last_valid=work.last_valid,
        sends=work.sends,
        landed_slot=slot,
        certain=event.finalized,
    )
    return landed, (MarkLanded(slot),)


def _expired(work: MachineState, event: AccountSeen, expired_at: int) -> Transition:
    if event.slot < expired_at:
        return work, ()
    match event.verdict:
        case Verdict.DONE:
            return _end(work, Settle("final", "made so by another transaction", "dead"))
        case Verdict.LOST:
            return _end(work, Settle("superseded", event.reason, "dead"))
        case _:
            return _end(work, MarkDead("expired without landing", 0.0, work.failures))


def _landed(work: MachineState, event: Event) -> Transition:
    match event:
        case Tick():
            return work, (ReadStatus(history=False), ReadAccount())
        case StatusSeen(landed_slot=None):
            # Forked away, or a node that lags: send again until one of the two is certain.
            lost = MachineState(
                phase=Phase.SENDING,
                failures=work.failures,
                last_valid=work.last_valid,
                sends=work.sends,
            )
            return lost, (MarkLost(),)
        case StatusSeen(landed_slot=int(slot)):
            if event.error is not None or slot != work.landed_slot:
                return _status(work, event, slot)
            return _replace(work, certain=event.finalized), ()
        case AccountSeen(slot=slot, verdict=verdict) if slot >= work.landed_slot:
            if verdict is Verdict.DONE:
                return _end(work, Settle("final", "landed", "final"))
            if not work.certain:
                return work, ()
            if verdict is Verdict.LOST:
                return _end(work, Settle("superseded", event.reason, "final"))
            reason = "landed without its effect"
            return _end(work, Settle("quarantined", reason, "final", error=reason))
    return work, ()


def _failed(work: MachineState, reason: str, error: str, *, live: bool = False) -> Transition:
    failures = work.failures + 1
    if error in PERMANENT:
        return _end(work, Settle("failed", reason, "dead" if live else None, error))
    if failures >= MAX_FAILURES:
        return _end(work, Settle("quarantined", reason, "dead" if live else None, error))
    delay = min(FIRST_PAUSE * 2 ** (failures - 1), LONGEST_PAUSE)
    again = MarkDead if live else Postpone
    return _end(work, again(reason, delay, failures, error))


def _end(work: MachineState, effect: Effect) -> Transition:
    return _replace(work, phase=Phase.ENDED), (effect,)
