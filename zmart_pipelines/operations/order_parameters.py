"""The kinds of orders and their parameters. Pure.

A kind is what the pipelines may do by themselves: what only the admin's wallet may sign, such as
the approval or the cancellation of a market, is no kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from zmart_pipelines.store.tables.orders import KINDS

# The numbers of rows and slots that a BIGINT holds.
RowId: TypeAlias = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Slot: TypeAlias = Annotated[int, Meta(ge=0, le=2**62)]
Market: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]


class ParametersRefused(ValueError):
    """The parameters are not those of the kind.

    Attributes:
        field: The parameter; empty where it is all of them.
        reason: What is wrong with it.
    """

    def __init__(self, field: str, reason: str) -> None:
        """Name the field and what is wrong with it."""
        self.field = field
        self.reason = reason
        super().__init__(f"{field or 'parameters'}: {reason}")


class _Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an order of one kind needs."""


class ResolveMarket(_Parameters, frozen=True):
    """Resolve a market with the resolver's key; ``outcome`` is true for YES.

    ``evidence`` is what decided the question, as text; it is pinned.
    """

    market: Market
    outcome: bool
    evidence: Annotated[str, Meta(min_length=1, max_length=20_000)]
    before_end: bool = False


class Backfill(_Parameters, frozen=True):
    """Read the slots from the first to the last, inclusive, as far as they are not covered."""

    first_slot: Slot
    last_slot: Slot


class BreakerReset(_Parameters, frozen=True):
    """Close a circuit breaker now, such as ``action:finalize_market``."""

    name: Name


class Switch(_Parameters, frozen=True):
    """Set the kill switch of an action, or of ``all``."""

    action: Name
    enabled: bool


class Redeliver(_Parameters, frozen=True):
    """Ingest a stored webhook delivery again."""

    delivery: RowId


class Redecode(_Parameters, frozen=True):
    """Decode every quarantined event again."""


class RetrySubmission(_Parameters, frozen=True):
    """Plan a failed or quarantined intent again."""

    intent: RowId


class CloseSubmission(_Parameters, frozen=True):
    """Close an intent that did not become final; the order's reason is added to it."""

    intent: RowId


class ReopenVote(_Parameters, frozen=True):
    """Reopen the frozen vote of a market as its next round."""

    market: Market
    kind: Literal["proposal", "dispute"]


Parameters: TypeAlias = (
    ResolveMarket
    | Backfill
    | BreakerReset
    | Switch
    | Redeliver
    | Redecode
    | RetrySubmission
    | CloseSubmission
    | ReopenVote
)

PARAMETERS: Final[Mapping[str, type[Parameters]]] = {
    "resolve_market": ResolveMarket,
    "backfill": Backfill,
    "breaker_reset": BreakerReset,
    "switch": Switch,
    "redeliver": Redeliver,
    "redecode": Redecode,
    "retry_submission": RetrySubmission,
    "close_submission": CloseSubmission,
    "reopen_vote": ReopenVote,
}
if tuple(PARAMETERS) != KINDS:
    raise RuntimeError("the kinds of orders are not those that the database accepts")


def parse(kind: str, given: Mapping[str, Any]) -> Parameters:
    """Return the parameters of an order.

    Raises:
        ParametersRefused: They are not those of the kind.
    """
    try:
        found = msgspec.convert(dict(given), PARAMETERS[kind])
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$")
        raise ParametersRefused(place.rstrip("`").removeprefix("."), reason) from error
    if isinstance(found, Backfill) and found.first_slot > found.last_slot:
        raise ParametersRefused("last_slot", "must not be before first_slot")
    return found
