"""A circuit breaker as a pure machine: closed, open, half-open.

Closed lets everything through and counts failures in a row; at the policy's number it opens.
Open refuses until its pause is over; then one permit is given, the probe, and the breaker is
half-open until the probe is answered. A probe that succeeds closes it, one that fails opens
it for the next longer pause. A probe whose holder vanished is given to another in time.

Every permit carries the generation it was given in and every change of state starts a new
one, so that an answer from before the change decides nothing after it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

replace = msgspec.structs.replace


class State(StrEnum):
    """Whether work is let through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Policy(msgspec.Struct, frozen=True):
    """When to open and for how long.

    :ivar failures: in a row, of different subjects where subjects are named, that open.
    :ivar pauses: of the first opening and of those after failed probes; the last one stays.
    :ivar probe: how long a probe may take before another one is let through.
    """

    failures: int = 5
    pauses: tuple[timedelta, ...] = (
        timedelta(minutes=5),
        timedelta(minutes=10),
        timedelta(minutes=20),
    )
    probe: timedelta = timedelta(minutes=2)


class Breaker(msgspec.Struct, frozen=True):
    """The state of one breaker.

    :ivar subjects: whose failures were counted since the last success (the named ones).
    :ivar level: how many probes have failed since it opened.
    :ivar opened_at: when it last left closed; None while closed.
    :ivar wait_until: open: the end of the pause; half-open: of the probe's time.
    """

    state: State = State.CLOSED
    generation: int = 0
    failures: int = 0
    subjects: tuple[str, ...] = ()
    level: int = 0
    opened_at: datetime | None = None
    wait_until: datetime | None = None
    last_error: str | None = None


class Permit(msgspec.Struct, frozen=True):
    """Leave to try; hand ``generation`` back with the result."""

    generation: int
    probe: bool = False


class Refusal(msgspec.Struct, frozen=True):
    """No leave before ``until``; ``reason`` is the failure that opened it."""

    until: datetime
    reason: str


def allow(breaker: Breaker, now: datetime, policy: Policy) -> tuple[Breaker, Permit | Refusal]:
    """Whether to try now. In half-open the first who asks gets the probe."""
    if breaker.state is State.CLOSED:
        return breaker, Permit(breaker.generation)
    if breaker.wait_until is not None and now < breaker.wait_until:
        return breaker, Refusal(breaker.wait_until, breaker.last_error or "")
    probing = replace(
        breaker,
        state=State.HALF_OPEN,
        generation=breaker.generation + 1,
        wait_until=now + policy.probe,
    )
    return probing, Permit(probing.generation, probe=True)


def succeeded(breaker: Breaker, generation: int | None = None) -> Breaker:
    """The breaker after a success: counted from nothing again, or closed by its probe.

    :param generation: of the permit. None for work whose permit is no longer known: it clears
        the count and answers a probe, but never closes an open breaker.
    """
    if generation is None and breaker.state is State.OPEN:
        return breaker
    if generation not in (None, breaker.generation):
        return breaker
    if breaker.state is State.CLOSED:
        return replace(breaker, failures=0, subjects=()) if breaker.failures else breaker
    return reset(breaker)


def failed(
    breaker: Breaker,
    error: str,
    now: datetime,
    policy: Policy,
    *,
    generation: int | None = None,
    subject: str | None = None,
) -> Breaker:
    """The breaker after a failure.

    :param error: short and without secrets; people read it.
    :param subject: what the failure is of. Of one subject only the first counts, so that one
        that always fails does not stop all others.
    """
    if generation not in (None, breaker.generation):
        return breaker
    if breaker.state is State.OPEN:
        return replace(breaker, last_error=error)
    if breaker.state is State.HALF_OPEN:
        return _open(breaker, error, breaker.level + 1, now, policy)
    if subject is not None and subject in breaker.subjects:
        return replace(breaker, last_error=error)
    counted = replace(
        breaker,
        failures=breaker.failures + 1,
        subjects=breaker.subjects if subject is None else (*breaker.subjects, subject),
        last_error=error,
    )
    if counted.failures < policy.failures:
        return counted
    return _open(counted, error, 0, now, policy)


def abandoned(breaker: Breaker, generation: int, now: datetime) -> Breaker:
    """The breaker after a permit was given back unused: the next who asks gets the probe."""
    if breaker.state is not State.HALF_OPEN or generation != breaker.generation:
        return breaker
    return replace(breaker, state=State.OPEN, generation=breaker.generation + 1, wait_until=now)


def reset(breaker: Breaker) -> Breaker:
    """The breaker closed, whatever it was; the last error is kept to be read."""
    return Breaker(generation=breaker.generation + 1, last_error=breaker.last_error)


def _open(breaker: Breaker, error: str, level: int, now: datetime, policy: Policy) -> Breaker:
    return replace(
        breaker,
        state=State.OPEN,
        generation=breaker.generation + 1,
        level=level,
        opened_at=breaker.opened_at or now,
        wait_until=now + policy.pauses[min(level, len(policy.pauses) - 1)],
        last_error=error,
    )
