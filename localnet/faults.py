"""Faults on demand: what providers and networks do to their clients, when asked for it.

A fault is armed through the control API for a number of requests (or until cleared) and
for some methods (or all). RPC faults change how a request is answered, webhook faults what
is posted.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import Any

import msgspec


class Kind(StrEnum):
    """What goes wrong."""

    RATE_LIMIT = "rate-limit"
    """429, with Retry-After when ``retry_after`` is given; nothing is executed."""
    SERVER_ERROR = "server-error"
    """``status`` (500) with a text body; nothing is executed."""
    HTML = "html"
    """200 with a web page; nothing is executed."""
    UNHEALTHY = "unhealthy"
    """RPC error -32005, behind by ``slots``; nothing is executed."""
    LOST_ANSWER = "lost-answer"
    """Executed, then the connection breaks before the answer."""
    TRUNCATED = "truncated"
    """Executed; the answer's JSON ends half-way."""
    SLOW = "slow"
    """Executed; the answer drips over ``seconds``."""
    WRONG_ID = "wrong-id"
    """Executed; the answer is for another request."""
    NULL_RESULT = "null-result"
    """Executed; the result is null."""
    DROPPED_SEND = "dropped-send"
    """sendTransaction answers with the signature, but no leader ever sees it."""
    WEBHOOK_DROP = "webhook-drop"
    """The delivery is never posted."""
    WEBHOOK_DUPLICATE = "webhook-duplicate"
    """The delivery is posted twice."""
    WEBHOOK_DELAY = "webhook-delay"
    """The delivery is posted ``seconds`` later."""
    WEBHOOK_REORDER = "webhook-reorder"
    """The delivery is posted after the one that follows it."""
    WEBHOOK_SPLIT = "webhook-split"
    """Each transaction is posted alone, the last one first."""
    WEBHOOK_FORGE = "webhook-forge"
    """The same transactions under invented signatures are posted before, with a wrong
    Authorization unless ``authorized``."""


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """One armed fault; ``times`` counts down, null never ends."""

    kind: Kind
    times: int | None = 1
    methods: tuple[str, ...] = ()
    status: int = 500
    retry_after: int | None = None
    seconds: float = 1.0
    slots: int = 100
    authorized: bool = False

    def __post_init__(self) -> None:
        if self.times is not None and self.times < 1:
            raise ValueError("times: at least 1, or null for ever")
        if not 500 <= self.status <= 599:
            raise ValueError("status: between 500 and 599")
        if not 0 <= self.seconds <= 600:
            raise ValueError("seconds: between 0 and 600")


BEFORE_EXECUTION = frozenset({Kind.RATE_LIMIT, Kind.SERVER_ERROR, Kind.HTML, Kind.UNHEALTHY})
AFTER_EXECUTION = frozenset(
    {Kind.LOST_ANSWER, Kind.TRUNCATED, Kind.SLOW, Kind.WRONG_ID, Kind.NULL_RESULT}
)
WEBHOOK = frozenset(kind for kind in Kind if kind.startswith("webhook-"))


class Faults:
    """The armed faults, in the order they were armed."""

    def __init__(self) -> None:
        self.armed: list[Fault] = []

    def arm(self, fault: Fault) -> None:
        """Let it happen from the next request on."""
        self.armed.append(fault)

    def clear(self) -> None:
        """Let nothing happen any more."""
        self.armed.clear()

    def take(self, kinds: Collection[Kind], methods: Collection[str] = ()) -> Fault | None:
        """The first armed fault of these kinds for one of the methods, used up once."""
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
        """The armed faults for people."""
        return [
            {"kind": fault.kind, "times": fault.times, "methods": list(fault.methods)}
            for fault in self.armed
        ]
