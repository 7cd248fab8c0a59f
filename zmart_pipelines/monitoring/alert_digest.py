"""What one message says about alerts, and when it is due. Pure.

A message is a digest: all that waits goes into one. What opens and closes again within
``group_seconds`` is not sent at all, and two messages are ``interval_seconds`` apart, so that the
system's normal running makes fewer than five a day.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeAlias

import msgspec

from zmart_pipelines.monitoring.alert_causes import CAUSES
from zmart_pipelines.monitoring.severity import rank
from zmart_pipelines.settings import Settings

Change: TypeAlias = Literal["raised", "ended"]

# Alerts that a message names; it says how many more there are.
MAX_LINES: Final = 20
_MAX_MESSAGE: Final = 500
# Critical alerts wait for this part of the interval, the end of alerts for this multiple.
_CRITICAL_PART: Final = 10
_ENDED_MULTIPLE: Final = 4


class Notice(msgspec.Struct, frozen=True):
    """A change of an alert that is to be reported.

    Attributes:
        alert_id: Its row.
        change: Raised (or raised to another severity), or ended.
        key: Topic, market and subject, as text.
        topic: Its topic.
        severity: Now.
        message: Its text.
        since: When it was raised.
        changed_at: When what is reported happened.
    """

    alert_id: int
    change: Change
    key: str
    topic: str
    severity: str
    message: str
    since: datetime
    changed_at: datetime


class Pace(msgspec.Struct, frozen=True):
    """How messages are spaced."""

    group: timedelta
    interval: timedelta

    @classmethod
    def of(cls, settings: Settings) -> Pace:
        """Return the pace that the settings ask for."""
        return cls(
            timedelta(seconds=settings.alert_group_seconds),
            timedelta(seconds=settings.alert_interval_seconds),
        )


class Digest(msgspec.Struct, frozen=True):
    """A message: its first line, and the rest."""

    title: str
    body: str


def due(
    notices: Sequence[Notice], last: datetime | None, now: datetime, pace: Pace
) -> list[Notice]:
    """Return the notices of the message that is due now; none where none is.

    Args:
        notices: All that wait.
        last: When the last message was written; None before the first.
        now: The time.
        pace: How messages are spaced.
    """
    waiting = [
        notice
        for notice in notices
        if notice.change == "ended" or now - notice.changed_at >= pace.group
    ]
    if not waiting:
        return []
    spacing = min(_spacing(notice, pace) for notice in waiting)
    return waiting if last is None or now - last >= spacing else []


def _spacing(notice: Notice, pace: Pace) -> timedelta:
    if notice.change == "ended":
        return pace.interval * _ENDED_MULTIPLE
    return pace.interval / _CRITICAL_PART if notice.severity == "critical" else pace.interval


def digest(notices: Sequence[Notice]) -> Digest:
    """Return the message about the notices, the most urgent first."""
    raised = sorted(
        (notice for notice in notices if notice.change == "raised"),
        key=lambda notice: (-rank(notice.severity), notice.since),
    )
    ended = [notice for notice in notices if notice.change == "ended"]
    blocks = [_raised(notice) for notice in raised[:MAX_LINES]]
    room = MAX_LINES - len(blocks)
    blocks += [f"ended: {notice.key}" for notice in ended[:room]]
    more = len(notices) - len(blocks)
    if more > 0:
        blocks.append(f"and {more} more; zmart alerts list shows all")
    return Digest(_title(raised, ended), "\n".join(blocks))


def _title(raised: Sequence[Notice], ended: Sequence[Notice]) -> str:
    if not raised:
        return f"ended: {_count(len(ended), 'alert')}"
    counts = dict.fromkeys(("critical", "high", "medium"), 0)
    for notice in raised:
        counts[notice.severity] += 1
    parts = [f"{count} {name}" for name, count in counts.items() if count]
    return f"{_count(len(raised), 'alert')}: {', '.join(parts)}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _raised(notice: Notice) -> str:
    when = notice.since.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    cause = CAUSES.get(notice.topic)
    runbook = f"; runbook: {cause.runbook}" if cause is not None else ""
    message = notice.message[:_MAX_MESSAGE]
    return f"*{notice.severity}*: {message}\n  {notice.key}, since {when}{runbook}"
