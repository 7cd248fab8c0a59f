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
    EMPTY_LOGS = "empty-logs"
    """getTransaction returns an empty log."""
    NULL_LOGS = "null-logs"
    """getTransaction returns null for the log."""
    NO_INNER_INSTRUCTIONS = "no-inner-instructions"
    """getTransaction returns null for the inner instructions."""
    SHORT_PAGE = "short-page"
    """getSignaturesForAddress returns at most ``rows``, whatever the limit."""
    CIRCULAR_LISTING = "circular-listing"
    """getSignaturesForAddress begins at the tip, whatever ``before`` says."""
    LOCAL_STORAGE = "local-storage"
    """Only the last ``slots`` slots are found: listings, transactions and the first block."""
    TRANSACTION_VERSION = "transaction-version"
    """getTransaction returns the transaction as one of ``version``, or error -32015 where the
    client does not support that."""
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


_READING: tuple[str, ...] = ("getTransaction",)
_LISTING: tuple[str, ...] = ("getSignaturesForAddress",)
ANSWERS: dict[FaultKind, tuple[str, ...]] = {
    FaultKind.EMPTY_LOGS: _READING,
    FaultKind.NULL_LOGS: _READING,
    FaultKind.NO_INNER_INSTRUCTIONS: _READING,
    FaultKind.SHORT_PAGE: _LISTING,
    FaultKind.CIRCULAR_LISTING: _LISTING,
    FaultKind.LOCAL_STORAGE: (*_READING, *_LISTING, "getFirstAvailableBlock"),
    FaultKind.TRANSACTION_VERSION: _READING,
}
"""Faults of an answer's content, with the methods whose answers they alter."""


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """One armed fault; ``times`` counts down, null: until cleared.

    ``path`` limits a fault of the RPC to requests with this path, so that of two paths of one
    node one misbehaves.
    """

    kind: FaultKind
    times: int | None = 1
    methods: tuple[str, ...] = ()
    path: str | None = None
    status: int = 500
    retry_after: int | None = None
    seconds: float = 1.0
    slots: int = 100
    authorized: bool = False
    rows: int = 7
    version: int = 1

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
        if not 0 <= self.rows <= 1000:
            raise ValueError("rows: must be between 0 and 1000")
        if not 1 <= self.version <= 127:
            raise ValueError("version: must be between 1 and 127")
        altered = ANSWERS.get(self.kind)
        if altered is not None:
            self.methods = tuple(set(self.methods) & set(altered)) or altered


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

    def consume(
        self, kinds: Collection[FaultKind], methods: Collection[str] = (), path: str | None = None
    ) -> Fault | None:
        """Return the first armed fault of these kinds for one of the methods; count it down."""
        for fault in self.armed:
            if fault.kind not in kinds or fault.path not in (None, path):
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
