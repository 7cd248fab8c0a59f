"""The breakers of the actions: who may go on, and what the machine's effects tell them.

An action's breaker counts markets whose submission the program or our key refused, in a row.
While it is open no intent of the action is taken up; what was signed before is driven on.
"""

from __future__ import annotations

from sqlalchemy import Connection

from zmart_pipelines.breakers import breaker_rows
from zmart_pipelines.breakers.machine import Permit, Policy, Refusal
from zmart_pipelines.breakers.policies import action_name
from zmart_pipelines.submissions import messages
from zmart_pipelines.submissions.driven_intent import DrivenIntent
from zmart_pipelines.submissions.statuses import Action

# The program says that somebody was faster. What became of the market is read from its
# account; the action is as sound as before.
OVERTAKEN = frozenset(
    {
        "InvalidMarketState",
        "InvalidStateForVoting",
        "InvalidStateTransition",
        "AlreadyResolved",
        "MarketCancelled",
        "MarketAlreadyCancelled",
    }
)


class ActionPermits:
    """Permits of one look at the open intents."""

    def __init__(self, conn: Connection, policy: Policy) -> None:
        self._conn = conn
        self._policy = policy
        self._closed: dict[Action, Permit] = {}

    def request(self, action: Action) -> Permit | Refusal:
        """Whether an intent of this action may be taken up; one of them is the probe."""
        if action in self._closed:
            return self._closed[action]
        answer = breaker_rows.allow(self._conn, action_name(action), self._policy)
        if isinstance(answer, Permit) and not answer.probe:
            self._closed[action] = answer
        return answer


def refusal_reason(action: Action, refusal: Refusal) -> str:
    """The reason that a waiting intent shows."""
    return f"{action} is stopped until {refusal.until:%H:%M:%S} UTC: {refusal.reason}"


def record_effect(
    conn: Connection, policy: Policy, job: DrivenIntent, effect: messages.Effect
) -> None:
    """Tells the action's breaker how a submission ended. Committed by the caller."""
    if not isinstance(effect, messages.MarkDead | messages.Postpone | messages.Settle):
        return
    name = action_name(job.intent.action)
    generation = None if job.permit is None else job.permit.generation
    if effect.error is not None and effect.error not in OVERTAKEN:
        subject = job.intent.market_id.hex()
        breaker_rows.failed(
            conn, name, effect.error, policy, generation=generation, subject=subject
        )
    elif isinstance(effect, messages.Settle) and (effect.status, effect.attempt) == (
        "final",
        "final",
    ):
        breaker_rows.succeeded(conn, name, generation)
    else:
        return_probe(conn, job)


def return_probe(conn: Connection, job: DrivenIntent) -> None:
    """Lets another intent be the probe, where this one was and tried nothing."""
    if job.permit is not None and job.permit.probe:
        breaker_rows.abandoned(conn, action_name(job.intent.action), job.permit.generation)
