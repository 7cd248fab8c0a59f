"""Alerts as clients read them; their texts are for operators alone."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from zmart_pipelines.client_schemas.formats import iso8601, iso8601_or_none
from zmart_pipelines.store.queries import alerts

Severity: TypeAlias = Literal["critical", "high", "medium"]


class Alert(msgspec.Struct, frozen=True):
    """A condition that the operators were alerted of; it lasts while `cleared_at` is null."""

    id: int
    topic: str
    severity: Severity
    market_id: str | None
    raised_at: str
    cleared_at: str | None


class OperatorAlert(Alert, frozen=True):
    """An alert with its text, which operators receive.

    `subject` tells alerts of the same topic apart, `detail` holds the facts behind `message`.
    An operator who takes the alert over acknowledges it; its severity then no longer rises.
    """

    subject: str | None
    message: str
    detail: dict[str, Any]
    acknowledged_at: str | None
    acknowledged_by: str | None


def alert(row: alerts.Alert) -> Alert:
    """Return an alert as everyone may read it."""
    return Alert(*_shown(row))


def operator_alert(row: alerts.FullAlert) -> OperatorAlert:
    """Return an alert as operators read it."""
    return OperatorAlert(
        *_shown(row),
        row.subject,
        row.message,
        row.detail,
        iso8601_or_none(row.acknowledged_at),
        row.acknowledged_by,
    )


def _shown(row: alerts.Alert) -> tuple[int, str, Severity, str | None, str, str | None]:
    return (
        row.id,
        row.topic,
        msgspec.convert(row.severity, Severity),
        None if row.market_id is None else row.market_id.hex(),
        iso8601(row.raised_at),
        iso8601_or_none(row.cleared_at),
    )
