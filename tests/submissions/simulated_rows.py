"""What the simulation keeps in place of the database; each method is one transaction."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from tests.submissions.simulated_chain import Transaction
from zmart_pipelines.submissions import messages
from zmart_pipelines.submissions.lease import LeaseLost

LEASE_TICKS = 8.0


class Intent(msgspec.Struct):
    """The row of the intent; its status is "none" while there is no such row."""

    status: str = "none"
    failures: int = 0
    due: float = 0.0
    epoch: int = 0


class Attempt(msgspec.Struct):
    """A row of an attempt."""

    tx: Transaction
    status: str
    epoch: int
    sends: int = 0
    slot: int | None = None


@dataclass
class Tables:
    """What is committed; survives every crash. Each method is one transaction."""

    intent: Intent = field(default_factory=Intent)
    attempts: list[Attempt] = field(default_factory=list)
    holder: str = ""
    epoch: int = 0
    expires: float = 0.0
    ballots: int = 0
    refused: int = 0
    frozen: int | None = None
    counts: int = 0

    def cast(self) -> None:
        """Return to the voter at once whether the ballot counts."""
        if self.frozen is None:
            self.ballots += 1
        else:
            self.refused += 1

    def freeze(self, counted: int | None = None) -> None:
        """Freezes what is there now; a count made before is the wrong order."""
        if self.frozen is None:
            self.frozen = self.ballots if counted is None else counted

    def plan(self, counts: int) -> None:
        """The intent with its counts; there is one of this market, action and round."""
        if self.intent.status == "none":
            self.intent.status, self.counts = "planned", counts

    def acquire(self, name: str, now: float) -> int | None:
        if self.expires > now:
            return None
        self.holder, self.epoch, self.expires = name, self.epoch + 1, now + LEASE_TICKS
        return self.epoch

    def renew(self, epoch: int, now: float) -> None:
        self.fence(epoch, now)
        self.expires = now + LEASE_TICKS

    def fence(self, epoch: int, now: float) -> None:
        if self.epoch != epoch or self.expires <= now:
            raise LeaseLost(str(epoch))

    def live(self) -> Attempt | None:
        return next((a for a in self.attempts if a.status in ("signed", "sent", "landed")), None)

    def take_up(self, epoch: int, now: float) -> Attempt | None:
        self.fence(epoch, now)
        self.intent.epoch = epoch
        found = self.live()
        if found is not None:
            found.epoch = epoch
        return found

    def sign(self, epoch: int, now: float, tx: Transaction) -> bool:
        self.fence(epoch, now)
        if self.intent.epoch != epoch:
            raise LeaseLost(str(epoch))
        if self.live() is not None:
            return False
        self.attempts.append(Attempt(tx, "signed", epoch))
        self.intent.status = "live"
        return True

    def write(
        self, epoch: int, now: float, attempt: Attempt | None, effect: messages.Effect
    ) -> None:
        self.fence(epoch, now)
        if self.intent.epoch != epoch or (attempt is not None and attempt.epoch != epoch):
            raise LeaseLost(str(epoch))
        intent = self.intent
        match effect:
            case messages.MarkSent() if attempt is not None:
                attempt.status, attempt.sends = "sent", attempt.sends + 1
            case messages.MarkLanded(slot=slot) if attempt is not None:
                attempt.status, attempt.slot = "landed", slot
            case messages.MarkLost() if attempt is not None:
                attempt.status, attempt.slot = "sent", None
            case messages.MarkDead(delay=delay, failures=failures) if attempt is not None:
                attempt.status = "dead"
                intent.status, intent.failures, intent.due = "planned", failures, now + delay
            case messages.Postpone(delay=delay, failures=failures):
                intent.status, intent.failures, intent.due = "planned", failures, now + delay
            case messages.Settle(status=status, attempt=verdict):
                intent.status = status
                if attempt is not None and verdict is not None:
                    attempt.status = verdict
