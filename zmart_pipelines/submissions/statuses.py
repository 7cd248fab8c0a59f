"""The words of ``ops.intents`` and ``ops.attempts``."""

from __future__ import annotations

from typing import Literal, get_args

# aggregate_dispute_votes is not among them and never will be: it ends a dispute wrongly.
Action = Literal[
    "aggregate_proposal_votes",
    "approve_proposal",
    "activate_market",
    "resolve_market",
    "finalize_market",
]
ACTIONS: tuple[Action, ...] = get_args(Action)

# planned: waits to be signed. live: has an attempt that may still land. final: true on chain,
# at finalized. superseded: something else became true. failed: our keys or the program are not
# as expected. quarantined: failed too often; people must look, other markets go on.
IntentStatus = Literal["planned", "live", "final", "superseded", "failed", "quarantined"]

# signed and sent: may land. landed: seen in a block that is not finalized for us yet.
AttemptStatus = Literal["signed", "sent", "landed", "final", "dead"]
