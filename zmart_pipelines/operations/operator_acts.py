"""Acts of operators on the database, each with its audit row in the same transaction.

The command line, the launchpad and orders call these, so that none of them can act without a row.
The caller commits. A reason may be empty where the act needs none.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from solders.pubkey import Pubkey
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from zmart_pipelines.breakers import breaker_rows
from zmart_pipelines.monitoring import alert_handling
from zmart_pipelines.monitoring.alert_handling import HandlingRefused
from zmart_pipelines.monitoring.breaker_alerts import update_breaker_alerts
from zmart_pipelines.proofs import service_keys
from zmart_pipelines.store.audit import Operator, actor_name, required_reason
from zmart_pipelines.store.queries import api_keys
from zmart_pipelines.store.queries.alert_silences import Silence
from zmart_pipelines.store.queries.alerts import FullAlert
from zmart_pipelines.submissions import operator_actions, switches
from zmart_pipelines.submissions.intents import Intent
from zmart_pipelines.submissions.operator_actions import OperatorActionRefused
from zmart_pipelines.voting import tallies
from zmart_pipelines.voting.ballot import Kind


class ActRefused(Exception):
    """The act does not apply; the message names what is wrong."""


def set_switch(conn: Connection, by: Operator, action: str, *, enabled: bool, reason: str) -> None:
    """Set a kill switch.

    Raises:
        ActRefused: The action is unknown, or it is switched off without a reason.
    """
    name: Any = action
    try:
        switches.set_switch(conn, name, enabled=enabled, reason=reason)
    except ValueError as error:
        raise ActRefused(str(error)) from error
    by.record(conn, "switch", action, reason, {"enabled": enabled})


def reset_breaker(conn: Connection, by: Operator, name: str, reason: str) -> None:
    """Close a circuit breaker without waiting for its probe.

    Raises:
        ActRefused: There is none of this name.
    """
    known = breaker_rows.reset(conn, name)
    update_breaker_alerts(conn)
    if not known:
        raise ActRefused(f"there is no breaker {name}")
    by.record(conn, "breaker_reset", name, reason)


def retry_submission(conn: Connection, by: Operator, intent_id: int, reason: str) -> Intent:
    """Plan an intent again that failed or was quarantined.

    Raises:
        ActRefused: It does not exist, or has another status.
    """
    try:
        intent = operator_actions.retry(conn, intent_id)
    except OperatorActionRefused as error:
        raise ActRefused(str(error)) from error
    by.record(conn, "retry_submission", str(intent_id), reason, _facts(intent))
    return intent


def close_submission(conn: Connection, by: Operator, intent_id: int, reason: str) -> Intent:
    """Close an intent that did not become final.

    Raises:
        ActRefused: It does not exist, has another status, or there is no reason.
    """
    try:
        intent = operator_actions.close(conn, intent_id, reason)
    except OperatorActionRefused as error:
        raise ActRefused(str(error)) from error
    by.record(conn, "close_submission", str(intent_id), reason, _facts(intent))
    return intent


def _facts(intent: Intent) -> dict[str, Any]:
    return {
        "market": intent.market_id.hex(),
        "intent_action": intent.action,
        "round": intent.round,
    }


def reopen_vote(
    conn: Connection, by: Operator, market_id: bytes, kind: Kind, reason: str, *, chain_time: int
) -> int:
    """Reopen the frozen vote of a market; return the number of its new round.

    Args:
        conn: The caller commits.
        by: Who reopens it.
        market_id: The market voted on.
        kind: Of vote.
        reason: For the audit log.
        chain_time: The chain's clock, Unix seconds: the vote of the new round begins then.

    Raises:
        ActRefused: There is no frozen vote of this kind, or the reason is blank or too long.
    """
    try:
        required_reason(reason)
        round_number = tallies.reopen(conn, market_id, kind, chain_time)
    except KeyError as error:
        raise ActRefused(f"market {market_id.hex()} has no frozen {kind} vote") from error
    except ValueError as error:
        raise ActRefused(str(error)) from error
    by.record(conn, "reopen_vote", market_id.hex(), reason, {"kind": kind, "round": round_number})
    return round_number


def create_key(
    conn: Connection,
    by: Operator,
    name: str,
    scopes: Collection[str],
    reason: str,
    *,
    wallet: bytes | None = None,
) -> str:
    """Create the key of a service and return it; the owner's login alone may.

    Args:
        conn: A transaction of the owner.
        by: Who creates it.
        name: Of the service.
        scopes: What the key permits.
        reason: For the audit log.
        wallet: The wallet that it belongs to, 32 bytes; None for a service that acts for none.

    Raises:
        ActRefused: A key of that name is accepted already.
    """
    key = service_keys.new_key()
    try:
        with conn.begin_nested():
            api_keys.create_key(
                conn,
                name=name,
                prefix=key[: service_keys.SHOWN],
                key_hash=service_keys.key_hash(key),
                scopes=scopes,
                wallet=wallet,
            )
    except IntegrityError as error:
        raise ActRefused(
            f"there is a key named {name} already; zmart keys revoke {name} first"
        ) from error
    details: dict[str, Any] = {"scopes": sorted(set(scopes))}
    if wallet is not None:
        details["wallet"] = str(Pubkey(wallet))
    by.record(conn, "create_key", name, reason, details)
    return key


def revoke_key(conn: Connection, by: Operator, name: str, reason: str) -> None:
    """Revoke the key of a service; the owner's login alone may.

    Raises:
        ActRefused: There is no key of that name that is not revoked.
    """
    if not api_keys.revoke_key(conn, name):
        raise ActRefused(f"there is no key named {name} that is not revoked")
    by.record(conn, "revoke_key", name, reason)


def acknowledge_alert(conn: Connection, by: Operator, alert_id: int, reason: str) -> FullAlert:
    """Acknowledge an open alert.

    Raises:
        ActRefused: There is no such alert, it has ended, or its cause is accepted by that and the
            reason is blank.
    """
    try:
        found = alert_handling.acknowledge(conn, alert_id, actor_name(by.actor), reason)
    except HandlingRefused as error:
        raise ActRefused(str(error)) from error
    details = {"topic": found.topic}
    if found.market_id is not None:
        details["market"] = found.market_id.hex()
    by.record(conn, "acknowledge_alert", str(alert_id), reason, details)
    return found


def silence_alerts(
    conn: Connection,
    by: Operator,
    *,
    topic: str,
    market_id: bytes | None,
    subject: str | None,
    lasts: timedelta,
    reason: str,
) -> Silence:
    """Send no message about the alerts that match for some time.

    Raises:
        ActRefused: The topic is unknown, or the reason or the time is not possible.
    """
    try:
        made = alert_handling.silence(
            conn,
            topic=topic,
            market_id=market_id,
            subject=subject,
            lasts=lasts,
            reason=reason,
            by=actor_name(by.actor),
        )
    except HandlingRefused as error:
        raise ActRefused(str(error)) from error
    details = {"topic": topic, "subject": subject, "ends_at": made.ends_at.isoformat()}
    if market_id is not None:
        details["market"] = market_id.hex()
    by.record(conn, "silence_alerts", str(made.id), reason, details)
    return made


def end_silence(conn: Connection, by: Operator, silence_id: int, reason: str) -> Silence:
    """End a silence now.

    Raises:
        ActRefused: None with this id lasts, or the reason is blank or too long.
    """
    try:
        ended = alert_handling.end_silence(conn, silence_id, reason)
    except HandlingRefused as error:
        raise ActRefused(str(error)) from error
    by.record(conn, "end_silence", str(silence_id), reason, {"topic": ended.topic})
    return ended
