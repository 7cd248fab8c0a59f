"""Deliver alerts: write what is due to the outbox, and send what waits there.

Any number of processes may call :func:`deliver`. One at a time writes messages; each message is
claimed by one sender, in a transaction of its own before it is sent, and recorded afterwards. A
message is therefore never lost. Where a process dies between the receiver's answer and the record,
nobody can know whether it was received: it is sent again, and says so. Mail keeps its Message-ID.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Engine, Row, func, select

from zmart_pipelines.monitoring.alert_digest import Notice, Pace, digest, due
from zmart_pipelines.monitoring.alert_posters import OutgoingMessage, Poster, SendingFailed
from zmart_pipelines.monitoring.alerts import AlertKey, clear_alert, open_alerts, raise_alert
from zmart_pipelines.monitoring.escalation import escalate_alerts
from zmart_pipelines.monitoring.severity import SEVERITIES, rank
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.locks import ALERT_MESSAGES, try_lock
from zmart_pipelines.store.queries import alert_messages

log = logging.getLogger(__name__)

TOPIC: Final = "alert_delivery"

# Longer than any attempt takes; then its process has ended.
CLAIM: Final = timedelta(seconds=60)
# Messages that one call sends; Slack accepts about one per second.
MOST_SENT: Final = 10
_FIRST_PAUSE: Final = 5.0
_LONGEST_PAUSE: Final = 300.0
# Longest pause that a receiver can ask for, in seconds.
_LONGEST_SILENCE: Final = 3_600.0


class DeliveryReport(msgspec.Struct, frozen=True):
    """What one call of ``deliver`` did.

    Attributes:
        written: Alerts that were written to the outbox.
        sent: Messages that receivers accepted, as ``channel #number``.
        faults: Why others failed, without addresses.
    """

    written: int = 0
    sent: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


def deliver(engine: Engine, settings: Settings, posters: Sequence[Poster]) -> DeliveryReport:
    """Escalate alerts, write the message that is due, and send what waits.

    Args:
        engine: Connections of a role that writes alerts.
        settings: Pace and thresholds.
        posters: The receivers; without any nothing is written.
    """
    with engine.begin() as conn:
        if try_lock(conn, ALERT_MESSAGES):
            escalate_alerts(conn, settings)
            written = write_message(conn, settings, [poster.channel for poster in posters])
        else:
            written = 0
    if not posters:
        return DeliveryReport(written)
    sent, faults = _send_waiting(engine, posters)
    with engine.begin() as conn:
        age = timedelta(seconds=settings.alert_abandon_seconds)
        if abandoned := alert_messages.abandon_messages(conn, age):
            log.error("%d messages about alerts were given up", abandoned)
        _update_own_alerts(conn)
    return DeliveryReport(written, tuple(sent), tuple(faults))


def write_message(conn: Connection, settings: Settings, channels: Sequence[str]) -> int:
    """Write the message that is due for each channel; return how many alerts it reports."""
    if not channels:
        return 0
    least = rank(settings.alert_min_severity)
    rows = alert_messages.unreported_changes(conn, SEVERITIES[least:])
    if not rows:
        return 0
    now = conn.execute(select(func.now())).scalar_one()
    last = alert_messages.last_message_at(conn)
    chosen = due([_notice(row) for row in rows], last, now, Pace.of(settings))
    if chosen:
        made = digest(chosen)
        ids = [notice.alert_id for notice in chosen]
        alert_messages.add_messages(conn, channels, made.title, made.body, ids)
    return len(chosen)


def _notice(row: Row[Any]) -> Notice:
    has_ended = row.cleared_at is not None
    return Notice(
        alert_id=row.id,
        change="ended" if has_ended else "raised",
        key=str(AlertKey(row.topic, row.market_id, row.subject)),
        topic=row.topic,
        severity=row.severity,
        message=row.message,
        since=row.raised_at,
        changed_at=row.cleared_at if has_ended else row.raised_at,
    )


def _send_waiting(engine: Engine, posters: Sequence[Poster]) -> tuple[list[str], list[str]]:
    """Send what waits, oldest first; a channel that fails is left alone in this call."""
    remaining = {poster.channel: poster for poster in posters}
    sent: list[str] = []
    faults: list[str] = []
    tried: list[int] = []
    while remaining and len(tried) < MOST_SENT:
        with engine.begin() as conn:
            message = alert_messages.claim_message(conn, remaining.keys(), tried, CLAIM)
        if message is None:
            break
        tried.append(message.id)
        fault = _send(engine, remaining[message.channel], message)
        if fault is None:
            sent.append(f"{message.channel} #{message.id}")
        else:
            faults.append(fault)
            del remaining[message.channel]
    return sent, faults


def _send(engine: Engine, poster: Poster, message: alert_messages.Unsent) -> str | None:
    """Send a claimed message and record the result; return why it failed."""
    try:
        poster.send(OutgoingMessage(message.id, message.title, message.body, message.was_claimed))
    except SendingFailed as error:
        with engine.begin() as conn:
            pause = timedelta(seconds=pause_after(message.attempts, error.pause))
            alert_messages.record_failed(conn, message.id, str(error), pause)
        return str(error)
    with engine.begin() as conn:
        alert_messages.record_sent(conn, message.id)
    return None


def pause_after(attempts: int, asked: float) -> float:
    """Return the seconds until the next attempt: 5, 10, 20, … 300, or longer if asked for."""
    pause: float = min(_FIRST_PAUSE * 2 ** min(max(attempts - 1, 0), 10), _LONGEST_PAUSE)
    return max(pause, min(asked, _LONGEST_SILENCE))


def _update_own_alerts(conn: Connection) -> None:
    """Keep an alert for each channel that fails; of medium severity, it cannot report itself."""
    failing = alert_messages.unsent_by_channel(conn)
    for channel, (waiting, reason) in failing.items():
        key = AlertKey(TOPIC, subject=channel)
        raise_alert(conn, key, "medium", reason or "sending fails", {"waiting": waiting})
    for key in open_alerts(conn, topic=TOPIC):
        if key.subject not in failing:
            clear_alert(conn, key)
