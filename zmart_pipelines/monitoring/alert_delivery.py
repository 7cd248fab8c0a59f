"""Post severe alerts to a webhook, each of them once.

The body is what Slack's incoming webhooks accept, ``{"text": "…"}``, as do others
(https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks). The address is a
secret that allows posting; it appears in no log, error or row.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import msgspec
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, Row, func, select, update

from zmart_pipelines.monitoring.alerts import AlertKey, clear_alert, raise_alert
from zmart_pipelines.store.tables.ops import alerts

# httpx logs each request with its whole address.
logging.getLogger("httpx").setLevel(logging.WARNING)

POSTED_SEVERITIES: Final = ("critical", "high")
# Per call; Slack accepts about one message per second.
MAX_POSTS: Final = 10
TIMEOUT_SECONDS: Final = 3.0
_LONGEST: Final = 2_000
_FIRST_PAUSE: Final = 5.0
_LONGEST_PAUSE: Final = 300.0
# Longest pause that the receiver can ask for.
_LONGEST_SILENCE: Final = 3_600.0

_UNPOSTED = (
    alerts.c.posted_at.is_(None),
    alerts.c.cleared_at.is_(None),
    alerts.c.severity.in_(POSTED_SEVERITIES),
)


class DeliveryReport(msgspec.Struct, frozen=True):
    """What one call of ``post_alerts`` did.

    Attributes:
        posted: Keys of the alerts posted.
        fault: Why it ended early, without the address; None if it did not.
        pause: Seconds to wait that the receiver asked for (Retry-After).
    """

    posted: tuple[str, ...]
    fault: str | None = None
    pause: float = 0.0


class Backoff(msgspec.Struct, frozen=True):
    """Consecutive failures of posting, and when to try again (Unix seconds)."""

    failures: int = 0
    until: float = 0.0

    def after(self, round_: DeliveryReport, now: float) -> Backoff:
        """Return the state after a report at ``now``."""
        if round_.fault is None:
            return Backoff()
        pause = min(_FIRST_PAUSE * 2 ** min(self.failures, 10), _LONGEST_PAUSE)
        asked = min(round_.pause, _LONGEST_SILENCE)
        return Backoff(self.failures + 1, now + max(pause, asked))


# Of medium severity, which is not posted: the webhook cannot report its own failure.
WEBHOOK_ALERT: Final = AlertKey("alert_delivery", subject="webhook")


class PostingRound(msgspec.Struct, frozen=True):
    """What one call of ``post_when_due`` did.

    Attributes:
        backoff: To be given to the next call.
        posted: Keys of the alerts posted.
        waiting: Alerts that were to be posted.
        fault: Why it ended early, without the address.
    """

    backoff: Backoff
    posted: tuple[str, ...] = ()
    waiting: int = 0
    fault: str | None = None


def post_when_due(engine: Engine, address: SecretStr, backoff: Backoff, now: float) -> PostingRound:
    """Post what is unposted unless the webhook failed just now, and keep the webhook's own alert.

    Any number of processes may call this: each alert is posted by one of them.
    """
    with engine.connect() as conn:
        waiting = count_unposted(conn)
    if not waiting or now < backoff.until:
        return PostingRound(backoff, waiting=waiting)
    done = post_alerts(engine, address)
    with engine.begin() as conn:
        if done.fault is None:
            clear_alert(conn, WEBHOOK_ALERT)
        else:
            raise_alert(conn, WEBHOOK_ALERT, "medium", done.fault, {"waiting": waiting})
    return PostingRound(backoff.after(done, now), done.posted, waiting, done.fault)


def count_unposted(conn: Connection) -> int:
    """Return the number of open alerts that are still to be posted."""
    return conn.execute(select(func.count()).select_from(alerts).where(*_UNPOSTED)).scalar_one()


def post_alerts(engine: Engine, address: SecretStr) -> DeliveryReport:
    """Post the open alerts that were not posted yet, oldest first.

    An alert counts as posted once the receiver accepted it. Concurrent callers lock different
    alerts. A process that dies between the response and its record posts that alert again.
    """
    posted: list[str] = []
    with httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False) as client:
        for _ in range(MAX_POSTS):
            key, failed = _post_oldest(engine, client, address)
            if failed is not None:
                return msgspec.structs.replace(failed, posted=tuple(posted))
            if key is None:
                break
            posted.append(key)
    return DeliveryReport(tuple(posted))


def _post_oldest(
    engine: Engine, client: httpx.Client, address: SecretStr
) -> tuple[str | None, DeliveryReport | None]:
    """Post the oldest unposted alert; return its key if there is one, or the failure."""
    with engine.begin() as conn:
        row = conn.execute(
            select(alerts)
            .where(*_UNPOSTED)
            .order_by(alerts.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        ).one_or_none()
        if row is None:
            return None, None
        failed = _send(client, address, message(row))
        if failed is None:
            conn.execute(update(alerts).where(alerts.c.id == row.id).values(posted_at=func.now()))
    return str(_key(row)), failed


def _send(client: httpx.Client, address: SecretStr, text: str) -> DeliveryReport | None:
    """Return None when the alert was accepted."""
    try:
        answer = client.post(address.get_secret_value(), json={"text": text})
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return DeliveryReport((), f"the alert webhook could not be reached: {type(error).__name__}")
    if answer.is_success:
        return None
    asked = answer.headers.get("Retry-After", "")
    pause = float(asked) if asked.isascii() and asked.isdigit() else 0.0
    return DeliveryReport((), f"the alert webhook answered {answer.status_code}", pause)


def _key(alert: Row[Any]) -> AlertKey:
    return AlertKey(alert.topic, alert.market_id, alert.subject)


def message(alert: Row[Any]) -> str:
    """Return the text of an alert, with Slack's three special characters escaped."""
    since: datetime = alert.raised_at
    text = alert.message[:_LONGEST]
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(character, entity)
    when = since.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"*{alert.severity}*: {text}\n{_key(alert)}, since {when}"
