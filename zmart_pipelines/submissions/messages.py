"""The messages of the machine: events that were observed, effects to perform."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from zmart_pipelines.chain.faults import Fault
from zmart_pipelines.submissions.statuses import AttemptStatus, IntentStatus


class Verdict(StrEnum):
    """What the market's account shows about the intent.

    READY: not true yet and may be sent. DONE: true. LOST: something else became true, so it never
    can. EARLY: not possible yet, another transaction has to come first.
    """

    READY = "ready"
    DONE = "done"
    LOST = "lost"
    EARLY = "early"


# --- events: what was observed ---


class Tick(msgspec.Struct, frozen=True):
    """The time is ``now``, in monotonic seconds."""

    now: float


class AccountSeen(msgspec.Struct, frozen=True):
    """The verdict on the market's account at finalized ``slot``."""

    slot: int
    verdict: Verdict
    reason: str = ""


class Simulated(msgspec.Struct, frozen=True):
    """The simulation used ``units``, or failed with the error of this name.

    ``fault``: whose fault the error is. Only a program's is a verdict on the submission.
    """

    units: int
    error: str | None = None
    fault: Fault = Fault.PROGRAM


class Persisted(msgspec.Struct, frozen=True):
    """The signed attempt is committed; it may land up to block height ``last_valid``."""

    last_valid: int
    now: float


class Withheld(msgspec.Struct, frozen=True):
    """Nothing was signed: no key, a switch is off, or the market has another live attempt."""

    reason: str


class Unsigned(msgspec.Struct, frozen=True):
    """The key refused the message, or it cannot be built. A retry cannot succeed."""

    error: str


class Sent(msgspec.Struct, frozen=True):
    """A node accepted the bytes, or answered with ``error``. Neither is a verdict."""

    error: str | None = None


class StatusSeen(msgspec.Struct, frozen=True):
    """A node at ``slot`` knows the signature as landed in ``landed_slot``, or not at all."""

    slot: int
    landed_slot: int | None = None
    finalized: bool = False
    error: str | None = None


class HeightSeen(msgspec.Struct, frozen=True):
    """The finalized block height at finalized ``slot``, both from one answer."""

    slot: int
    height: int


class Unreachable(msgspec.Struct, frozen=True):
    """The node did not answer the last call; nothing is known."""

    reason: str


Event = (
    Tick
    | AccountSeen
    | Simulated
    | Persisted
    | Withheld
    | Unsigned
    | Sent
    | StatusSeen
    | HeightSeen
    | Unreachable
)


# --- effects: what to do ---


class ReadAccount(msgspec.Struct, frozen=True):
    """Read the market's account at finalized."""


class Simulate(msgspec.Struct, frozen=True):
    """Simulate the action."""


class Sign(msgspec.Struct, frozen=True):
    """Sign the action with a limit for ``units`` compute units and commit the attempt."""

    units: int


class Send(msgspec.Struct, frozen=True):
    """Send the attempt's stored bytes."""


class ReadStatus(msgspec.Struct, frozen=True):
    """Read the signature's status, with ``history`` also from the node's history."""

    history: bool


class ReadHeight(msgspec.Struct, frozen=True):
    """Read the finalized block height and its slot, in one answer."""


class MarkSent(msgspec.Struct, frozen=True):
    """Record that the attempt was sent once more."""


class MarkLanded(msgspec.Struct, frozen=True):
    """Record that the attempt landed in ``slot`` (not yet finalized for us)."""

    slot: int


class MarkLost(msgspec.Struct, frozen=True):
    """Record that no node knows the landed attempt any more; it may land again."""


class MarkDead(msgspec.Struct, frozen=True):
    """Record that the attempt is dead and the intent planned again.

    Attributes:
        reason: Why.
        delay: Seconds until the intent is due again.
        failures: The intent's new count.
        error: The program's error, if it failed with one.
    """

    reason: str
    delay: float
    failures: int
    error: str | None = None


class Postpone(msgspec.Struct, frozen=True):
    """Record that the intent, which has no live attempt, waits ``delay`` seconds.

    Attributes:
        reason: Why.
        delay: Seconds until the intent is due again.
        failures: The intent's count of rejections by the program.
        error: The program's error, if the simulation failed with one.
        needs_operator: Nothing changes by itself: an alert is raised.
    """

    reason: str
    delay: float
    failures: int
    error: str | None = None
    needs_operator: bool = False


class Settle(msgspec.Struct, frozen=True):
    """Record the intent's end: final, superseded, failed or quarantined.

    Attributes:
        status: The end.
        reason: Why.
        attempt: The new status of the live attempt, if there is one.
        error: The error with which the submission itself failed, as opposed to what others did
            to the market.
    """

    status: IntentStatus
    reason: str
    attempt: AttemptStatus | None = None
    error: str | None = None


Effect = (
    ReadAccount
    | Simulate
    | Sign
    | Send
    | ReadStatus
    | ReadHeight
    | MarkSent
    | MarkLanded
    | MarkLost
    | MarkDead
    | Postpone
    | Settle
)
