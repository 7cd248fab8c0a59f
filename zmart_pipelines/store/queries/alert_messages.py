"""The outbox of messages about alerts: what waits to be reported, and what waits to be sent."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import (
    Connection,
    Interval,
    Row,
    bindparam,
    case,
    func,
    insert,
    or_,
    select,
    text,
    update,
)

from zmart_pipelines.store.queries.alert_silences import is_silenced
from zmart_pipelines.store.queries.row_mapping import one
from zmart_pipelines.store.tables.alert_messages import alert_messages
from zmart_pipelines.store.tables.ops import alerts

# Changes that one message can report; more wait for the next one.
MOST_CHANGES: Final = 1_000

_ENDED = alerts.c.cleared_at.isnot(None)


class Unsent(msgspec.Struct, frozen=True):
    """A message that is claimed for sending.

    ``was_claimed``: an earlier attempt ended without a result, so it may have been received.
    """

    id: int
    channel: str
    title: str
    body: str
    attempts: int
    was_claimed: bool


def unreported_changes(conn: Connection, severities: Collection[str]) -> Sequence[Row[Any]]:
    """Return alerts with a change that no message has reported, oldest first.

    These are open ones of a severity among ``severities`` that is more than the one last reported,
    neither silenced nor acknowledged; and ended ones of which a message told.
    """
    order = case({"medium": 0, "high": 1, "critical": 2}, value=alerts.c.severity)
    told = case({"medium": 0, "high": 1, "critical": 2}, value=alerts.c.posted_severity, else_=-1)
    raised = (
        alerts.c.cleared_at.is_(None)
        & alerts.c.acknowledged_at.is_(None)
        & alerts.c.severity.in_(severities)
        & (alerts.c.posted_severity.is_distinct_from(alerts.c.severity))
        & (order > told)
        & ~is_silenced()
    )
    ended = _ENDED & alerts.c.posted_at.isnot(None) & alerts.c.closure_posted_at.is_(None)
    return conn.execute(
        select(alerts).where(or_(raised, ended)).order_by(alerts.c.id).limit(MOST_CHANGES)
    ).all()


def last_message_at(conn: Connection) -> datetime | None:
    """Return when the newest message was written."""
    newest: datetime | None = conn.execute(
        select(func.max(alert_messages.c.created_at))
    ).scalar_one()
    return newest


def add_messages(
    conn: Connection, channels: Collection[str], title: str, body: str, alert_ids: Sequence[int]
) -> None:
    """Insert the message for each channel, and mark its alerts as reported. The caller commits."""
    conn.execute(
        insert(alert_messages),
        [
            {"channel": channel, "title": title, "body": body, "alert_ids": list(alert_ids)}
            for channel in channels
        ],
    )
    reported = alerts.c.id.in_(list(alert_ids))
    conn.execute(
        update(alerts)
        .where(reported, ~_ENDED)
        .values(posted_at=func.now(), posted_severity=alerts.c.severity)
    )
    conn.execute(update(alerts).where(reported, _ENDED).values(closure_posted_at=func.now()))


_CLAIM = text(
    """
WITH next AS (
    SELECT id, claimed_until IS NOT NULL AS was_claimed FROM ops.alert_messages
    WHERE sent_at IS NULL AND abandoned_at IS NULL AND next_attempt_at <= now()
        AND (claimed_until IS NULL OR claimed_until <= now())
        AND channel = ANY(:channels) AND id <> ALL(:tried)
    ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE ops.alert_messages AS m
SET attempts = m.attempts + 1, claimed_until = now() + :claim
FROM next WHERE m.id = next.id
RETURNING m.id, m.channel, m.title, m.body, m.attempts, next.was_claimed
"""
).bindparams(bindparam("claim", type_=Interval))


def claim_message(
    conn: Connection, channels: Collection[str], tried: Collection[int], claim: timedelta
) -> Unsent | None:
    """Claim the oldest message that is due on one of the channels; None without one.

    The caller commits before it sends: whoever finds the claim after its end knows that the
    attempt may have succeeded.

    Args:
        conn: A transaction.
        channels: Those that this process sends to.
        tried: Messages that are not claimed, because this round has tried them.
        claim: For how long no other process sends it.
    """
    row = conn.execute(
        _CLAIM, {"channels": list(channels), "tried": list(tried), "claim": claim}
    ).one_or_none()
    return None if row is None else one(Unsent, row)


def record_sent(conn: Connection, message_id: int) -> None:
    """Record that the receiver accepted the message. The caller commits."""
    sent = {"sent_at": func.now(), "claimed_until": None, "last_error": None}
    conn.execute(update(alert_messages).where(alert_messages.c.id == message_id).values(sent))


def record_failed(conn: Connection, message_id: int, reason: str, pause: timedelta) -> None:
    """Record why the receiver did not accept the message. The caller commits."""
    failed = {
        "last_error": reason,
        "claimed_until": None,
        "next_attempt_at": func.now() + pause,
    }
    conn.execute(update(alert_messages).where(alert_messages.c.id == message_id).values(failed))


def abandon_messages(conn: Connection, age: timedelta) -> int:
    """Give up messages that could not be sent for so long; return how many."""
    old = (
        alert_messages.c.sent_at.is_(None),
        alert_messages.c.abandoned_at.is_(None),
        alert_messages.c.created_at < func.now() - age,
    )
    abandoned = update(alert_messages).where(*old).values(abandoned_at=func.now())
    return conn.execute(abandoned).rowcount


def unsent_by_channel(conn: Connection) -> dict[str, tuple[int, str | None]]:
    """Return how many messages of each channel wait after a failure, and the last reason."""
    failing = (
        select(
            alert_messages.c.channel,
            func.count(),
            func.max(alert_messages.c.last_error),
        )
        .where(
            alert_messages.c.sent_at.is_(None),
            alert_messages.c.abandoned_at.is_(None),
            alert_messages.c.last_error.isnot(None),
        )
        .group_by(alert_messages.c.channel)
    )
    return {row[0]: (row[1], row[2]) for row in conn.execute(failing)}
