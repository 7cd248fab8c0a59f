"""What people may do about an intent that ended otherwise than meant: try again, or close.

Both go through rows alone. What is tried again runs through the machine like anything new:
the account is read first, and what is true by then is not sent.
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
_ENDED_BADLY: tuple[IntentStatus, ...] = (*_RETRIABLE, "superseded")


class OperatorActionRefused(Exception):
    """The intent is not one that this can be done with; the text says why."""


def failed_intents(conn: Connection) -> list[Intent]:
    """Intents that ended badly and whose alert is open, oldest first."""
    keys = open_alerts(conn, topic=intents.ALERT_TOPIC)
    return [intents.get(conn, one) for one in sorted(int(key.subject or "") for key in keys)]


def clear_resolved_alerts(engine: Engine, rpc: RpcClient, program: Pubkey) -> None:
    """Clears the alerts of intents that by now are true on chain, by whosever hand.

    Nothing happens where the chain cannot be read; the next look will do.
    """
    with engine.connect() as conn:
        found = failed_intents(conn)
    if not found:
        return
    try:
        markets = read_markets(rpc, program, [intent.market_id for intent in found])
    except NODE_ERRORS:
        return
    for intent in found:
        verdict, _ = account_verdict(
            intent.action, intent.arguments, markets[intent.market_id].account
        )
        if verdict is Verdict.DONE:
            with engine.begin() as conn:
                clear_alert(conn, intents.alert_key(intent))


def retry(conn: Connection, intent_id: int) -> Intent:
    """Plans a failed or quarantined intent again, with its failures forgotten.

    The approval that its aggregation took along is planned again with it. The alert stays
    until the intent is final. Committed by the caller; :class:`OperatorActionRefused`.
    """
    intent = _locked(conn, intent_id)
    if intent.status not in _RETRIABLE:
        _refuse(intent, "only failed and quarantined ones are tried again")
    _plan(conn, table.c.id == intent_id)
    if intent.action == "aggregate_proposal_votes":
        _plan(
            conn,
            table.c.market_id == intent.market_id,
            table.c.action == "approve_proposal",
            table.c.round == intent.round,
            table.c.status == "superseded",
        )
    return intents.get(conn, intent_id)


def close(conn: Connection, intent_id: int, reason: str) -> Intent:
    """Clears the alert of an intent that ended badly; ``reason`` is added to its own.

    Committed by the caller; :class:`OperatorActionRefused`.
    """
    intent = _locked(conn, intent_id)
    if intent.status not in _ENDED_BADLY:
        _refuse(intent, "there is nothing to close")
    if not reason.strip():
        raise OperatorActionRefused("reason: say why it is closed, for whoever reads it")
    said = f"{intent.reason}; closed: {reason.strip()}"
    conn.execute(
        update(table)
        .where(table.c.id == intent_id)
        .values(reason=said, updated_at=func.clock_timestamp())
    )
    clear_alert(conn, intents.alert_key(intent))
    return intents.get(conn, intent_id)


def _plan(conn: Connection, *which: Any) -> None:
    now = func.clock_timestamp()
    conn.execute(
        update(table)
        .where(*which)
        .values(status="planned", reason="tried again", failures=0, retry_at=now, updated_at=now)
    )


def _locked(conn: Connection, intent_id: int) -> Intent:
    found = conn.execute(
        select(table.c.id).where(table.c.id == intent_id).with_for_update()
    ).one_or_none()
    if found is None:
        raise OperatorActionRefused(f"there is no intent {intent_id}")
    return intents.get(conn, intent_id)


def _refuse(intent: Intent, why: str) -> NoReturn:
    raise OperatorActionRefused(f"intent {intent.id} is {intent.status}: {why}")
