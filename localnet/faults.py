"""Fault injection: the failures of providers and networks, on request.

A fault is armed through the control API for a number of requests (or until cleared) and for
some methods (or all). RPC faults change the response to a request, webhook faults the delivery.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import Any

import msgspec


class FaultKind(StrEnum):
    """Kinds of faults."""

    RATE_LIMIT = "rate-limit"
    """429, with Retry-After when ``retry_after`` is given; nothing is executed."""
    SERVER_ERROR = "server-error"
    """``status`` (500) with a text body; nothing is executed."""
    HTML = "html"
    """200 with a web page; nothing is executed."""
    UNHEALTHY = "unhealthy"
    """RPC error -32005, behind by ``slots``; nothing is executed."""
    LOST_ANSWER = "lost-answer"
    """Executed, then the connection breaks before the response."""
    TRUNCATED = "truncated"
    """Executed; the response's JSON ends half-way."""
    SLOW = "slow"
    """Executed; the response is sent in pieces over ``seconds``."""
    WRONG_ID = "wrong-id"
    """Executed; the response carries the id of another request."""
    NULL_RESULT = "null-result"
    """Executed; the result is null."""
    DROPPED_SEND = "dropped-send"
    """sendTransaction returns the signature, but no leader receives the transaction."""
    WEBHOOK_DROP = "webhook-drop"
    """The delivery is never posted."""
    WEBHOOK_DUPLICATE = "webhook-duplicate"
    """The delivery is posted twice."""
    WEBHOOK_DELAY = "webhook-delay"
    """The delivery is posted ``seconds`` later."""
    WEBHOOK_REORDER = "webhook-reorder"
    """The delivery is posted after the next one."""
    WEBHOOK_SPLIT = "webhook-split"
    """Each transaction is posted alone, the last one first."""
    WEBHOOK_FORGE = "webhook-forge"
    """The same transactions under invented signatures are posted first, with a wrong
    Authorization header unless ``authorized``."""


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """One armed fault; ``times`` counts down, null: until cleared."""

    kind: FaultKind
    times: int | None = 1
    methods: tuple[str, ...] = ()
    status: int = 500
    retry_after: int | None = None
    seconds: float = 1.0
    slots: int = 100
    authorized: bool = False

    def __post_init__(self) -> None:
        if self.times is not None and self.times < 1:
            raise ValueError("times: must be at least 1, or null for no limit")
        if not 500 <= self.status <= 599:
            raise ValueError("status: must be between 500 and 599")
        if not 0 <= self.seconds <= 600:
            raise ValueError("seconds: must be between 0 and 600")
        if self.retry_after is not None and not 0 <= self.retry_after <= 3600:
            raise ValueError("retry_after: must be between 0 and 3600 seconds, or null for none")
        if not 0 <= self.slots <= 1_000_000:
            raise ValueError("slots: must be between 0 and 1000000")


BEFORE_EXECUTION = frozenset(
    {FaultKind.RATE_LIMIT, FaultKind.SERVER_ERROR, FaultKind.HTML, FaultKind.UNHEALTHY}
)
AFTER_EXECUTION = frozenset(
    {
        FaultKind.LOST_ANSWER,
        FaultKind.TRUNCATED,
        FaultKind.SLOW,
        FaultKind.WRONG_ID,
        FaultKind.NULL_RESULT,
    }
)
WEBHOOK = frozenset(kind for kind in FaultKind if kind.startswith("webhook-"))


class Faults:
    """The armed faults, in the order they were armed."""

    def __init__(self) -> None:
        self.armed: list[Fault] = []

    def arm(self, fault: Fault) -> None:
        """Inject the fault from the next request on."""
        self.armed.append(fault)

    def clear(self) -> None:
        """Disarm all faults."""
        self.armed.clear()

    def consume(self, kinds: Collection[FaultKind], methods: Collection[str] = ()) -> Fault | None:
        """Return the first armed fault of these kinds for one of the methods; count it down."""
        for fault in self.armed:
            if fault.kind not in kinds:
                continue
            if fault.methods and not any(method in fault.methods for method in methods):
                continue
            if fault.times is not None:
                fault.times -= 1
                if fault.times == 0:
                    self.armed.remove(fault)
            return fault
        return None

    def describe(self) -> list[dict[str, Any]]:
        """Return the armed faults for the status of the control API."""
        return [
            {"kind": fault.kind, "times": fault.times, "methods": list(fault.methods)}
            for fault in self.armed
        ]
