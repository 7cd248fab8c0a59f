"""The circuit breakers of the actions: permits to start intents, and how effects are recorded.

An action's breaker counts markets in a row whose submission the program or our key rejected.
While it is open, no intent of the action is started; live attempts are still driven.
"""

from __future__ import annotations

from sqlalchemy import Connection

from zmart_pipelines.breakers import breaker_rows
from zmart_pipelines.breakers.machine import Permit, Policy, Refusal
from zmart_pipelines.breakers.policies import action_name
from zmart_pipelines.submissions import messages
from zmart_pipelines.submissions.driven_intent import DrivenIntent
from zmart_pipelines.submissions.statuses import Action

# Errors that mean that another transaction was faster. The result is read from the market's
# account; the action itself works.
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
    """The permits for one round of open intents."""

    def __init__(self, conn: Connection, policy: Policy) -> None:
        self._conn = conn
        self._policy = policy
        self._permits: dict[Action, Permit] = {}

    def request(self, action: Action) -> Permit | Refusal:
        """Return whether an intent of this action may start; one of them may be the probe."""
        if action in self._permits:
            return self._permits[action]
        answer = breaker_rows.allow(self._conn, action_name(action), self._policy)
        if isinstance(answer, Permit) and not answer.probe:
            self._permits[action] = answer
        return answer


def refusal_reason(action: Action, refusal: Refusal) -> str:
    """Return the reason that is recorded for an intent that must wait."""
    return f"the breaker of {action} is open until {refusal.until:%H:%M:%S} UTC: {refusal.reason}"


def record_effect(
    conn: Connection, policy: Policy, driven: DrivenIntent, effect: messages.Effect
) -> None:
    """Record in the action's breaker how a submission ended. Committed by the caller."""
    if not isinstance(effect, messages.MarkDead | messages.Postpone | messages.Settle):
        return
    name = action_name(driven.intent.action)
    generation = None if driven.permit is None else driven.permit.generation
    if effect.error is not None and effect.error not in OVERTAKEN:
        subject = driven.intent.market_id.hex()
        breaker_rows.failed(
            conn, name, effect.error, policy, generation=generation, subject=subject
        )
    elif isinstance(effect, messages.Settle) and (effect.status, effect.attempt) == (
        "final",
        "final",
    ):
        breaker_rows.succeeded(conn, name, generation)
    else:
        return_probe(conn, driven)


def return_probe(conn: Connection, driven: DrivenIntent) -> None:
    """Return an unused probe, so that another intent can be it."""
    if driven.permit is not None and driven.permit.probe:
        breaker_rows.abandoned(conn, action_name(driven.intent.action), driven.permit.generation)
