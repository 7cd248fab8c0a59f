"""A circuit breaker as a pure state machine: closed, open, half-open.

Closed permits everything and counts consecutive failures; at the policy's number it opens. Open
refuses until its pause ends; then one permit is issued, the probe, and the breaker is half-open
until the probe's result. A probe that succeeds closes it, one that fails opens it for the next
longer pause. A probe without a result is issued again after a timeout.

Every permit carries the generation in which it was issued and every change of state starts a new
one, so that a result from before the change has no effect after it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

replace = msgspec.structs.replace


class State(StrEnum):
    """Whether work is permitted."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Policy(msgspec.Struct, frozen=True):
    """When to open and for how long.

    Attributes:
        failures: Consecutive failures that open it, of different subjects where they are named.
        pauses: Of the first opening and of those after failed probes; the last one repeats.
        probe: How long a probe may take before another one is permitted.
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

    Attributes:
        state: Closed, open or half-open.
        generation: Increases with every change of state.
        failures: Failures counted since the last success.
        subjects: The named subjects of these failures.
        level: How many probes have failed since it opened.
        opened_at: When it last left closed; None while closed.
        wait_until: End of the pause when open, of the probe's timeout when half-open.
        last_error: The latest failure.
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
    """Permission to try; pass ``generation`` with the result."""

    generation: int
    probe: bool = False


class Refusal(msgspec.Struct, frozen=True):
    """No permission before ``until``; ``reason`` is the failure that opened the breaker."""

    until: datetime
    reason: str


def allow(breaker: Breaker, now: datetime, policy: Policy) -> tuple[Breaker, Permit | Refusal]:
    """Return whether to try now; in half-open the first caller after the timeout gets the probe."""
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
    """Return the breaker after a success: its count is reset, or its probe closes it.

    Args:
        breaker: The breaker.
        generation: Of the permit. None for work whose permit is no longer known: it resets the
            count and counts as a probe's result, but never closes an open breaker.
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
    """Return the breaker after a failure.

    Args:
        breaker: The breaker.
        error: Short and without secrets; operators read it.
        now: The time.
        policy: When to open and for how long.
        generation: Of the permit, None where it is not known.
        subject: What failed. Only the first failure of a subject counts, so that one that always
            fails does not stop all others.
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
    """Return the breaker after an unused permit was returned: the next caller gets the probe."""
    if breaker.state is not State.HALF_OPEN or generation != breaker.generation:
        return breaker
    return replace(breaker, state=State.OPEN, generation=breaker.generation + 1, wait_until=now)


def reset(breaker: Breaker) -> Breaker:
    """Return the breaker closed from any state; the last error is kept for operators."""
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
