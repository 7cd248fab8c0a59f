"""The actions and the statuses of ``ops.intents`` and ``ops.attempts``."""

from __future__ import annotations

from typing import Final, Literal, get_args

# aggregate_dispute_votes must never be sent: it ends a dispute without its correct outcome.
Action = Literal[
    "aggregate_proposal_votes",
    "approve_proposal",
    "activate_market",
    "resolve_market",
    "finalize_market",
]
ACTIONS: tuple[Action, ...] = get_args(Action)

# What one run of the job ``aggregate_votes`` plans and drives.
PROPOSAL_ACTIONS: Final[frozenset[Action]] = frozenset(
    {"aggregate_proposal_votes", "approve_proposal", "activate_market"}
)

# planned: waits to be signed. live: has an attempt that may still land. final: true on chain,
# at finalized. superseded: something else became true. failed: our keys or the program are not
# as expected. quarantined: failed too often; needs an operator, other markets are not affected.
IntentStatus = Literal["planned", "live", "final", "superseded", "failed", "quarantined"]

# signed, sent: may land. landed: seen in a block that was not finalized when it was read.
AttemptStatus = Literal["signed", "sent", "landed", "final", "dead"]
