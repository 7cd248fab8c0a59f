"""Alerts that stay open become more severe with their age, unless they are acknowledged."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, func, select, update

from zmart_pipelines.client_schemas.frames import alert_frames
from zmart_pipelines.monitoring.alert_causes import CAUSES, Cause, Escalation
from zmart_pipelines.monitoring.severity import SEVERITIES, Severity, rank
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries.alerts import FULL_COLUMNS, FullAlert
from zmart_pipelines.store.queries.row_mapping import one
from zmart_pipelines.store.stream import append_at_commit
from zmart_pipelines.store.tables.ops import alerts

_RISING: Final = tuple(
    topic for topic, cause in CAUSES.items() if cause.escalation is not Escalation.NONE
)


def severity_at(cause: Cause, severity: Severity, age: timedelta, step: timedelta) -> Severity:
    """Return the severity of an alert of this age.

    Args:
        cause: Its cause, whose ceiling it does not exceed by age.
        severity: What the condition itself asks for.
        age: Since it was raised.
        step: The age at which it rises once, and again at every multiple.
    """
    steps = max(0, age // step)
    ceiling = max(rank(cause.ceiling), rank(severity))
    return SEVERITIES[min(rank(severity) + steps, ceiling)]


def escalate_alerts(conn: Connection, settings: Settings) -> int:
    """Raise the severity of open alerts that are old enough; return how many.

    Acknowledged alerts keep theirs. Frames tell clients once the caller commits.
    """
    periods = _periods(settings)
    age = (func.now() - alerts.c.raised_at).label("age")
    found = conn.execute(
        select(alerts.c.id, alerts.c.topic, alerts.c.severity, alerts.c.reported_severity, age)
        .where(
            alerts.c.cleared_at.is_(None),
            alerts.c.acknowledged_at.is_(None),
            alerts.c.severity != SEVERITIES[-1],
            alerts.c.topic.in_(_RISING),
            func.now() - alerts.c.raised_at >= min(periods.values()),
        )
        .with_for_update(skip_locked=True)
    ).all()
    risen = 0
    for row in found:
        cause = CAUSES[row.topic]
        reported = row.reported_severity or row.severity
        wanted = severity_at(cause, reported, row.age, periods[cause.escalation])
        if rank(wanted) > rank(row.severity):
            _escalate(conn, row.id, wanted, reported)
            risen += 1
    return risen


def _escalate(conn: Connection, alert_id: int, severity: Severity, reported: Severity) -> None:
    changed = update(alerts).where(alerts.c.id == alert_id)
    changed = changed.values(severity=severity, reported_severity=reported)
    row = conn.execute(changed.returning(*FULL_COLUMNS)).one()
    append_at_commit(conn, alert_frames(one(FullAlert, row), "changed"))


def _periods(settings: Settings) -> Mapping[Escalation, timedelta]:
    return {
        Escalation.FAST: timedelta(seconds=settings.alert_escalation_fast_seconds),
        Escalation.SLOW: timedelta(seconds=settings.alert_escalation_slow_seconds),
    }
