"""Rows of ``ops.intents``: what must become true on chain."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

Action = Literal[
    "aggregate_proposal_votes", "approve_proposal", "finalize_market", "resolve_market"
]
IntentStatus = Literal["planned", "live", "final", "superseded", "failed", "quarantined"]


class Intent(msgspec.Struct, frozen=True):
    """One row: an action on a market with its arguments, e.g. ``{"likes": 11, "dislikes": 1}``."""

    id: int
    market_id: bytes
    action: Action
    round: int
    arguments: dict[str, object]
    bundle_cid: str | None
    status: IntentStatus
    reason: str | None
    failures: int
    retry_at: datetime
    created_at: datetime
