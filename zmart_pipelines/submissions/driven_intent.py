"""One intent in one run: the row, the live attempt, the machine's state."""

from __future__ import annotations

from dataclasses import dataclass, field

from zmart_pipelines.breakers.machine import Permit
from zmart_pipelines.submissions.attempts import Attempt
from zmart_pipelines.submissions.intents import Intent
from zmart_pipelines.submissions.machine import MachineState, Phase, resume


@dataclass(eq=False)
class DrivenIntent:
    """An intent that is being driven; ``attempt`` is its live one, where it has one.

    ``permit`` is its leave by the action's breaker, which an attempt of an earlier run needs
    no more.
    """

    intent: Intent
    attempt: Attempt | None = None
    permit: Permit | None = None
    work: MachineState = field(init=False)

    def __post_init__(self) -> None:
        if self.attempt is None:
            self.work = resume(failures=self.intent.failures)
        else:
            self.work = resume(
                failures=self.intent.failures,
                last_valid=self.attempt.last_valid_block_height,
                sends=self.attempt.sends,
                landed_slot=self.attempt.landed_slot,
            )

    @property
    def live(self) -> Attempt:
        """The live attempt, which the machine's phase says there is."""
        if self.attempt is None:
            raise LookupError(f"intent {self.intent.id} has no live attempt")
        return self.attempt

    @property
    def ended(self) -> bool:
        """Whether the machine has nothing left to do with it."""
        return self.work.phase is Phase.ENDED
