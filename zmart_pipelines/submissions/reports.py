"""The report of a run of the submitter."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from solders.signature import Signature
from sqlalchemy import Connection

from zmart_pipelines.submissions import attempts, intents
from zmart_pipelines.submissions.statuses import Action, IntentStatus


class IntentOutcome(msgspec.Struct, frozen=True):
    """The result of one intent in this run. ``fee`` in lamports, of all its attempts."""

    intent_id: int
    market_id: bytes
    action: Action
    round: int
    status: IntentStatus
    reason: str | None
    signatures: tuple[str, ...]
    slot: int | None
    fee: int | None
    compute_units: int | None
    bundle_cid: str | None


class DriveReport(msgspec.Struct, frozen=True):
    """One run of the submitter.

    ``refused`` says why nothing was driven, or why the run ended early: another submitter holds
    the lease, or our key is not the authority that the chain names.
    """

    outcomes: tuple[IntentOutcome, ...]
    epoch: int | None
    seconds: float
    refused: str | None = None

    def by_status(self, status: IntentStatus) -> tuple[IntentOutcome, ...]:
        """Return the outcomes with this status."""
        return tuple(outcome for outcome in self.outcomes if outcome.status == status)


def intent_outcomes(conn: Connection, intent_ids: Sequence[int]) -> tuple[IntentOutcome, ...]:
    """Return the current outcomes of these intents, in their order."""
    all_attempts = attempts.attempts_of(conn, intent_ids)
    outcomes = []
    for intent_id in intent_ids:
        intent = intents.get(conn, intent_id)
        own = [attempt for attempt in all_attempts if attempt.intent_id == intent_id]
        landed = [attempt for attempt in own if attempt.status in ("landed", "final")]
        outcomes.append(
            IntentOutcome(
                intent_id=intent_id,
                market_id=intent.market_id,
                action=intent.action,
                round=intent.round,
                status=intent.status,
                reason=intent.reason,
                signatures=tuple(str(Signature(attempt.signature)) for attempt in own),
                slot=landed[-1].landed_slot if landed else None,
                fee=sum(attempt.fee or 0 for attempt in landed) if landed else None,
                compute_units=landed[-1].compute_units if landed else None,
                bundle_cid=intent.bundle_cid,
            )
        )
    return tuple(outcomes)
