"""What operators do about alerts: acknowledge one, and silence those that match for a while."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, func, update

from zmart_pipelines.client_schemas.frames import alert_frames
from zmart_pipelines.monitoring.alert_causes import CAUSES
from zmart_pipelines.store.audit import required_reason
from zmart_pipelines.store.queries import alert_silences
from zmart_pipelines.store.queries.alert_silences import Silence
from zmart_pipelines.store.queries.alerts import FULL_COLUMNS, FullAlert, find_alert
from zmart_pipelines.store.queries.row_mapping import one
from zmart_pipelines.store.stream import append_at_commit
from zmart_pipelines.store.tables.ops import alerts

# A silence has an end; what lasts longer is a setting.
LONGEST_SILENCE: Final = timedelta(days=30)


class HandlingRefused(Exception):
    """It does not apply; the message names the field or the alert."""


def acknowledge(conn: Connection, alert_id: int, by: str, reason: str = "") -> FullAlert:
    """Acknowledge an open alert: its severity no longer rises, and no message repeats it.

    Acknowledging it again changes nothing. The caller commits, and writes the audit log.

    Args:
        conn: A transaction.
        alert_id: The alert's row.
        by: Who takes it over, as people know them.
        reason: Why; it must be given where the alert's cause is accepted by this.

    Raises:
        HandlingRefused: There is no such alert, it has ended, or it needs a reason.
    """
    before = find_alert(conn, alert_id)
    if before is None:
        raise HandlingRefused(f"there is no alert {alert_id}; zmart alerts list shows all")
    if before.cleared_at is not None:
        raise HandlingRefused(f"alert {alert_id} has ended")
    cause = CAUSES.get(before.topic)
    if cause is not None and cause.is_accepted_by_acknowledgement:
        _require_reason(reason)
    changed = (
        update(alerts)
        .where(
            alerts.c.id == alert_id,
            alerts.c.cleared_at.is_(None),
            alerts.c.acknowledged_at.is_(None),
        )
        .values(acknowledged_at=func.now(), acknowledged_by=by)
        .returning(*FULL_COLUMNS)
    )
    row = conn.execute(changed).one_or_none()
    if row is None:
        return before
    after = one(FullAlert, row)
    append_at_commit(conn, alert_frames(after, "changed"))
    return after


def silence(
    conn: Connection,
    *,
    topic: str,
    market_id: bytes | None = None,
    subject: str | None = None,
    lasts: timedelta,
    reason: str,
    by: str,
) -> Silence:
    """Send no message about the alerts that match until the end; they are raised and shown.

    The caller commits.

    Args:
        conn: A transaction.
        topic: Of the alerts.
        market_id: Only those of this market.
        subject: Only those with this subject.
        lasts: From now on.
        reason: Why.
        by: Who silences them, as people know them.

    Raises:
        HandlingRefused: The topic is unknown, the reason is blank or too long, or the time is not
            positive or longer than ``LONGEST_SILENCE``.
    """
    if topic not in CAUSES:
        raise HandlingRefused(f"topic: {topic} is none of {', '.join(sorted(CAUSES))}")
    if not timedelta() < lasts <= LONGEST_SILENCE:
        raise HandlingRefused(f"end: must be within {LONGEST_SILENCE.days} days from now")
    return alert_silences.add_silence(
        conn,
        topic=topic,
        market_id=market_id,
        subject=subject,
        reason=_require_reason(reason),
        created_by=by,
        lasts=lasts,
    )


def end_silence(conn: Connection, silence_id: int, reason: str) -> Silence:
    """End a silence now; what is still open is sent then. The caller commits.

    Args:
        conn: A transaction.
        silence_id: The silence's row.
        reason: Why, for the audit log, which the caller writes.

    Raises:
        HandlingRefused: The reason is blank or too long, or no silence of this id lasts.
    """
    _require_reason(reason)
    ended = alert_silences.end_silence(conn, silence_id)
    if ended is None:
        raise HandlingRefused(f"there is no silence {silence_id} that lasts")
    return ended


def _require_reason(text: str) -> str:
    try:
        return required_reason(text)
    except ValueError as error:
        raise HandlingRefused(str(error)) from error
