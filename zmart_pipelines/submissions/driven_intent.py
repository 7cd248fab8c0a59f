"""An intent while a run drives it: the row, the live attempt, the machine's state."""

from __future__ import annotations

from dataclasses import dataclass, field

from zmart_pipelines import base58
from zmart_pipelines.breakers.machine import Permit
from zmart_pipelines.submissions.attempts import Attempt
from zmart_pipelines.submissions.intents import Intent
from zmart_pipelines.submissions.machine import MachineState, Phase, resume


@dataclass(eq=False)
class DrivenIntent:
    """An intent that a run drives.

    Attributes:
        intent: The row.
        attempt: Its live attempt, if it has one.
        permit: The permit of the action's breaker; a live attempt of an earlier run needs none.
        landed_ns: When this run saw it land, in nanoseconds since 1970.
        state: The state of the machine.
    """

    intent: Intent
    attempt: Attempt | None = None
    permit: Permit | None = None
    landed_ns: int | None = None
    state: MachineState = field(init=False)

    def __post_init__(self) -> None:
        if self.attempt is None:
            self.state = resume(failures=self.intent.failures)
        else:
            self.state = resume(
                failures=self.intent.failures,
                last_valid=self.attempt.last_valid_block_height,
                sends=self.attempt.sends,
                landed_slot=self.attempt.landed_slot,
            )

    @property
    def live(self) -> Attempt:
        """The live attempt, which exists in the machine's phases SENDING and LANDED."""
        if self.attempt is None:
            raise LookupError(f"intent {self.intent.id} has no live attempt")
        return self.attempt

    @property
    def log_ids(self) -> dict[str, object]:
        """What joins the lines that are logged about it."""
        ids: dict[str, object] = {"intent_id": self.intent.id}
        if self.attempt is not None:
            ids["signature"] = base58.encode(self.attempt.signature)
        return ids

    @property
    def ended(self) -> bool:
        """Whether the machine is done with it."""
        return self.state.phase is Phase.ENDED
