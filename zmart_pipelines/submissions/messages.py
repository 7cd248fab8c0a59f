"""What the machine is told and what it answers: events that were seen, effects to perform."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from zmart_pipelines.submissions.statuses import AttemptStatus, IntentStatus


class Verdict(StrEnum):
    """What the market's account says about the intent.

    READY: not yet true and may be sent. DONE: true. LOST: something else became true, it can
    never be. EARLY: not yet, another intent of ours has to come first.
    """

    READY = "ready"
    DONE = "done"
    LOST = "lost"
    EARLY = "early"


# --- events: what was seen ---


class Tick(msgspec.Struct, frozen=True):
    """Time has come to ``now``."""

    now: float


class AccountSeen(msgspec.Struct, frozen=True):
    """The market's account at finalized ``slot`` gives this verdict."""

    slot: int
    verdict: Verdict
    reason: str = ""


class Simulated(msgspec.Struct, frozen=True):
    """The simulation used ``units``, or failed with the error of this name."""

    units: int
    error: str | None = None


class Persisted(msgspec.Struct, frozen=True):
    """The signed attempt is committed; it may land up to block height ``last_valid``."""

    last_valid: int
    now: float


class Withheld(msgspec.Struct, frozen=True):
    """Nothing was signed: a switch is off, or the market has another live attempt."""

    reason: str


class Unsigned(msgspec.Struct, frozen=True):
    """The key refused the message, or it cannot be built. Trying again cannot help."""

    error: str


class Sent(msgspec.Struct, frozen=True):
    """A node took the bytes, or answered with ``error``. Neither is a verdict."""

    error: str | None = None


class StatusSeen(msgspec.Struct, frozen=True):
    """A node at ``slot`` knows the signature as landed in ``landed_slot``, or not at all."""

    slot: int
    landed_slot: int | None = None
    finalized: bool = False
    error: str | None = None


class HeightSeen(msgspec.Struct, frozen=True):
    """The finalized block height at finalized ``slot``, both of one answer."""

    slot: int
    height: int


class Unreachable(msgspec.Struct, frozen=True):
    """The node did not answer the last question; nothing is known."""

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


# --- effects: what is to be done ---


class ReadAccount(msgspec.Struct, frozen=True):
    """Read the market's account at finalized."""


class Simulate(msgspec.Struct, frozen=True):
    """Simulate the action."""


class Sign(msgspec.Struct, frozen=True):
    """Sign the action with room for ``units`` compute units and commit the attempt."""

    units: int


class Send(msgspec.Struct, frozen=True):
    """Send the attempt's stored bytes."""


class ReadStatus(msgspec.Struct, frozen=True):
    """Ask for the signature's status, in the node's history too where ``history``."""

    history: bool


class ReadHeight(msgspec.Struct, frozen=True):
    """Read the finalized block height and its slot, in one answer."""


class MarkSent(msgspec.Struct, frozen=True):
    """Record that the attempt was sent once more."""


class MarkLanded(msgspec.Struct, frozen=True):
    """Record that the attempt landed in ``slot`` (not yet finalized for us)."""

    slot: int


class MarkLost(msgspec.Struct, frozen=True):
    """Record that the landed attempt is known no more; it may land again."""


class MarkDead(msgspec.Struct, frozen=True):
    """Record that the attempt is dead and the intent planned again, after ``delay`` seconds.

    ``failures`` is the intent's new count; ``error`` the program's, where it failed by one.
    """

    reason: str
    delay: float
    failures: int
    error: str | None = None


class Postpone(msgspec.Struct, frozen=True):
    """Record that the intent waits ``delay`` seconds; it has no live attempt.

    ``error``: the program's, where its simulation failed by one.
    """

    reason: str
    delay: float
    failures: int
    error: str | None = None


class Settle(msgspec.Struct, frozen=True):
    """Record the intent's end: final, superseded, failed or quarantined.

    ``attempt``: what becomes of the live attempt, if there is one. ``error``: by which the
    submission itself failed, as opposed to what others did to the market.
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
