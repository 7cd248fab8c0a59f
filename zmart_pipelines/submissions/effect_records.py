"""The machine's effects on the tables, each in one transaction fenced by the lease."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, Engine

from zmart_pipelines.breakers.machine import Policy
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.monitoring.alerts import clear_alert, raise_alert
from zmart_pipelines.monitoring.severity import Severity
from zmart_pipelines.submissions import action_breakers, attempts, intents, messages
from zmart_pipelines.submissions.chain_reads import NODE_ERRORS
from zmart_pipelines.submissions.driven_intent import DrivenIntent
from zmart_pipelines.submissions.lease import Lease, fence

RecordEffect = (
    messages.MarkSent
    | messages.MarkLanded
    | messages.MarkLost
    | messages.MarkDead
    | messages.Postpone
    | messages.Settle
)

_SEVERITY: dict[str, Severity] = {
    "superseded": "medium",
    "failed": "critical",
    "quarantined": "high",
}


class TransactionCost(msgspec.Struct, frozen=True):
    """The cost of a landed transaction: ``fee`` in lamports, and compute units."""

    fee: int | None = None
    compute_units: int | None = None


class _Meta(msgspec.Struct, rename="camel"):
    fee: int | None = None
    compute_units_consumed: int | None = None


class _Landed(msgspec.Struct):
    meta: _Meta | None = None


def transaction_cost(rpc: RpcClient, signature: bytes) -> TransactionCost:
    """Return the transaction's cost; empty when the node does not know it, which is harmless."""
    try:
        found = rpc.transaction(signature, "confirmed")
        meta = None if found is None else msgspec.json.decode(found, type=_Landed).meta
    except (*NODE_ERRORS, msgspec.MsgspecError):
        return TransactionCost()
    return (
        TransactionCost()
        if meta is None
        else TransactionCost(meta.fee, meta.compute_units_consumed)
    )


def record(
    engine: Engine,
    lease: Lease,
    driven: DrivenIntent,
    effect: RecordEffect,
    cost: TransactionCost,
    policy: Policy,
) -> None:
    """Write the effect to the tables and to the action's breaker with its ``policy``.

    Raises:
        LeaseLost: The lease has another holder.
    """
    with engine.begin() as conn:
        fence(conn, lease)
        _write(conn, lease, driven, effect, cost)
        action_breakers.record_effect(conn, policy, driven, effect)


def _write(
    conn: Connection,
    lease: Lease,
    driven: DrivenIntent,
    effect: RecordEffect,
    cost: TransactionCost,
) -> None:
    match effect:
        case messages.MarkSent():
            attempts.mark_sent(conn, lease, driven.live)
        case messages.MarkLanded(slot=slot):
            attempts.update_live(conn, lease, driven.live, status="landed", landed_slot=slot)
        case messages.MarkLost():
            attempts.update_live(conn, lease, driven.live, status="sent", landed_slot=None)
        case messages.MarkDead(reason=reason, delay=delay, failures=failures):
            attempts.settle(conn, lease, driven.live, "dead", error=reason)
            intents.update_open(
                conn, lease, driven.intent, "planned", reason=reason, failures=failures, delay=delay
            )
        case messages.Postpone(reason=reason, delay=delay, failures=failures):
            intents.update_open(
                conn, lease, driven.intent, "planned", reason=reason, failures=failures, delay=delay
            )
            if effect.needs_operator:
                alert_about(conn, driven.intent, "high", "waits", reason)
        case messages.Settle():
            _settle(conn, lease, driven, effect, cost)


def _settle(
    conn: Connection,
    lease: Lease,
    driven: DrivenIntent,
    effect: messages.Settle,
    cost: TransactionCost,
) -> None:
    intent = driven.intent
    if effect.attempt is not None:
        attempts.settle(
            conn,
            lease,
            driven.live,
            effect.attempt,
            error=None if effect.attempt == "final" else effect.reason,
            fee=cost.fee,
            compute_units=cost.compute_units,
        )
    intents.update_open(conn, lease, intent, effect.status, reason=effect.reason)
    if effect.status == "final":
        # Alerts of earlier rounds, and of this one before an operator retried it.
        for key in intents.alert_keys(conn, intent):
            clear_alert(conn, key)
        return
    if intent.action == "aggregate_proposal_votes":
        intents.supersede_approval(conn, intent, "its aggregation did not become final")
    alert_about(conn, intent, _SEVERITY[effect.status], f"is {effect.status}", effect.reason)


def alert_about(
    conn: Connection, intent: intents.Intent, severity: Severity, state: str, reason: str
) -> None:
    """Raise the alert of an intent that did not become final or cannot go on."""
    market = intent.market_id.hex()
    raise_alert(
        conn,
        intents.alert_key(intent),
        severity,
        f"{intent.action} of market {market} {state}: {reason}",
        {"intent": intent.id, "market_id": market, "action": intent.action},
    )
