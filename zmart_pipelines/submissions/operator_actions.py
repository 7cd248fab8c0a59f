"""What operators may do about an intent that did not become final: retry it, or close it.

Both only write rows. A retried intent runs through the machine like a new one: the account is
read first, and what is already true is not sent.
"""

from __future__ import annotations

from typing import Any, NoReturn

from solders.pubkey import Pubkey
from sqlalchemy import Connection, Engine, func, select, update

from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.monitoring.alerts import clear_alert, open_alerts
from zmart_pipelines.store.tables.ops import intents as table
from zmart_pipelines.submissions import intents
from zmart_pipelines.submissions.chain_reads import NODE_ERRORS
from zmart_pipelines.submissions.intents import Intent
from zmart_pipelines.submissions.market_reads import read_markets
from zmart_pipelines.submissions.messages import Verdict
from zmart_pipelines.submissions.statuses import IntentStatus
from zmart_pipelines.submissions.verdicts import account_verdict

_RETRIABLE: tuple[IntentStatus, ...] = ("failed", "quarantined")
_CLOSABLE: tuple[IntentStatus, ...] = (*_RETRIABLE, "superseded")


class OperatorActionRefused(Exception):
    """The action does not apply to this intent; the message says why."""


def failed_intents(conn: Connection) -> list[Intent]:
    """Return the intents that did not become final and whose alert is open, oldest first."""
    keys = open_alerts(conn, topic=intents.ALERT_TOPIC)
    ids = sorted(int(key.subject or "") for key in keys)
    return [intents.get(conn, intent_id) for intent_id in ids]


def clear_resolved_alerts(engine: Engine, rpc: RpcClient, program: Pubkey) -> None:
    """Clear the alerts of intents that have become true on chain by another transaction.

    Nothing happens when the chain cannot be read; the next run tries again.
    """
    with engine.connect() as conn:
        failed = failed_intents(conn)
    if not failed:
        return
    try:
        markets = read_markets(rpc, program, [intent.market_id for intent in failed])
    except NODE_ERRORS:
        return
    for intent in failed:
        account = markets[intent.market_id].account
        try:
            verdict, _ = account_verdict(intent.action, intent.arguments, account)
        except (KeyError, TypeError, AttributeError):
            # Arguments that are not the action's: the alert stays open, the others are judged.
            continue
        if verdict is Verdict.DONE:
            with engine.begin() as conn:
                clear_alert(conn, intents.alert_key(intent))


def retry(conn: Connection, intent_id: int) -> Intent:
    """Plan a failed or quarantined intent again, with its failures reset.

    The approval that was superseded with an aggregation is planned again with it. The alert stays
    open until the intent is final. Committed by the caller.

    Raises:
        OperatorActionRefused: The intent does not exist or has another status.
    """
    intent = _locked(conn, intent_id)
    if intent.status not in _RETRIABLE:
        _refuse(intent, "only failed and quarantined intents can be retried")
    _plan_again(conn, table.c.id == intent_id)
    if intent.action == "aggregate_proposal_votes":
        _plan_again(
            conn,
            table.c.market_id == intent.market_id,
            table.c.action == "approve_proposal",
            table.c.round == intent.round,
            table.c.status == "superseded",
        )
    return intents.get(conn, intent_id)


def close(conn: Connection, intent_id: int, reason: str) -> Intent:
    """Clear the alert of an intent that did not become final; add ``reason`` to its own.

    Committed by the caller.

    Raises:
        OperatorActionRefused: The intent does not exist or has another status, or no reason is
            given.
    """
    intent = _locked(conn, intent_id)
    if intent.status not in _CLOSABLE:
        _refuse(intent, "only failed, quarantined and superseded intents can be closed")
    if not reason.strip():
        raise OperatorActionRefused("reason: say why it is closed")
    full_reason = f"{intent.reason}; closed: {reason.strip()}"
    conn.execute(
        update(table)
        .where(table.c.id == intent_id)
        .values(reason=full_reason, updated_at=func.clock_timestamp())
    )
    clear_alert(conn, intents.alert_key(intent))
    return intents.get(conn, intent_id)


def _plan_again(conn: Connection, *conditions: Any) -> None:
    now = func.clock_timestamp()
    conn.execute(
        update(table)
        .where(*conditions)
        .values(
            status="planned",
            reason="retried by an operator",
            failures=0,
            retry_at=now,
            updated_at=now,
        )
    )


def _locked(conn: Connection, intent_id: int) -> Intent:
    found = conn.execute(
        select(table.c.id).where(table.c.id == intent_id).with_for_update()
    ).one_or_none()
    if found is None:
        raise OperatorActionRefused(f"intent {intent_id} does not exist")
    return intents.get(conn, intent_id)


def _refuse(intent: Intent, why: str) -> NoReturn:
    raise OperatorActionRefused(f"intent {intent.id} is {intent.status}: {why}")
