"""What operators do about alerts: acknowledge one, and stop messages about them for a while.

It is done at once and not as an order, because an alert may say that the pipelines are dead.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, ClassVar

import msgspec
from litestar import Request, delete, get, post
from litestar.params import JSONBody, PathParameter
from msgspec import Meta
from sqlalchemy import Connection

from api import caching
from api.created import locate
from api.dependencies import CallerDep, DatabaseDep, error_responses
from api.errors import ApiError, invalid, not_found
from api.identity.caller import require_operator
from api.identity.operators import operator_of
from api.openapi import security
from api.requests import reasons
from api.requests.reasons import ReasonText
from api.requests.validation import FieldRules, require_field_rules
from zmart_pipelines.client_schemas import alerts as schemas
from zmart_pipelines.client_schemas.formats import iso8601
from zmart_pipelines.monitoring.alert_causes import CAUSES
from zmart_pipelines.monitoring.alert_handling import LONGEST_SILENCE
from zmart_pipelines.operations import operator_acts
from zmart_pipelines.operations.operator_acts import ActRefused
from zmart_pipelines.store.audit import Operator
from zmart_pipelines.store.queries import alert_silences
from zmart_pipelines.store.queries.alerts import find_alert

_LONGEST = int(LONGEST_SILENCE.total_seconds())

AlertPath = Annotated[int, PathParameter(ge=1, le=2**53, description="The alert's `id`.")]
SilencePath = Annotated[int, PathParameter(ge=1, le=2**53, description="The silence's `id`.")]


def _topic(text: str) -> str:
    """Return the topic; raise ApiError 400 where it is none of the catalogue's."""
    if text not in CAUSES:
        raise invalid("topic", f"must be one of {', '.join(sorted(CAUSES))}")
    return text


class AlertAcknowledgement(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Why, for the audit log; it may be left out."""

    FIELD_RULES: ClassVar[FieldRules] = {"reason": reasons.reason}

    reason: ReasonText | None = None

    def __post_init__(self) -> None:
        """Apply the rules that a type cannot state."""
        require_field_rules(self, self.FIELD_RULES)


class NewSilence(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which alerts are not sent, for how many seconds from now, and why.

    Without `market_id` and `subject` it is all alerts of the topic.
    """

    FIELD_RULES: ClassVar[FieldRules] = {"topic": _topic, "reason": reasons.reason}

    topic: Annotated[str, Meta(pattern=f"^({'|'.join(sorted(CAUSES))})$")]
    seconds: Annotated[int, Meta(ge=60, le=_LONGEST)]
    reason: ReasonText
    market_id: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")] | None = None
    subject: Annotated[str, Meta(min_length=1, max_length=200)] | None = None

    def __post_init__(self) -> None:
        """Apply the rules that a type cannot state."""
        require_field_rules(self, self.FIELD_RULES)


class SilenceEnd(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Why a silence ends before its time, for the audit log."""

    FIELD_RULES: ClassVar[FieldRules] = {"reason": reasons.reason}

    reason: ReasonText

    def __post_init__(self) -> None:
        """Apply the rules that a type cannot state."""
        require_field_rules(self, self.FIELD_RULES)


class AlertSilence(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts that are raised and shown, but not sent until `ends_at`."""

    id: int
    topic: str
    market_id: str | None
    subject: str | None
    reason: str
    created_by: str
    created_at: str
    ends_at: str


class SilenceList(msgspec.Struct, frozen=True):
    """The silences that last, newest first."""

    silences: list[AlertSilence]
    count: int


@get(
    "/api/alerts/{alert:int}",
    tags=["operators"],
    responses=error_responses(400, 401, 403, 404),
    cache_control=caching.NO_STORE,
    security=security.OPERATOR,
)
async def get_alert(
    database: DatabaseDep, caller: CallerDep, alert: AlertPath
) -> schemas.OperatorAlert:
    """Return an alert with its text; only operators may."""
    require_operator(caller)
    found = await database.read(lambda conn: find_alert(conn, alert))
    if found is None:
        raise not_found("Alert")
    return schemas.operator_alert(found)


@post(
    "/api/alerts/{alert:int}/acknowledgement",
    status_code=200,
    tags=["operators"],
    responses=error_responses(400, 401, 403, 404, 409, 413, 415),
    security=security.OPERATOR,
    opt={"bucket": "write"},
)
async def acknowledge_alert(
    database: DatabaseDep,
    caller: CallerDep,
    alert: AlertPath,
    data: JSONBody[AlertAcknowledgement | None] = None,
) -> schemas.OperatorAlert:
    """Take over an open alert; only operators may.

    Its severity no longer rises, and no message repeats it. Doing so again changes nothing.
    """
    by = Operator(operator_of(caller), "api")
    reason = "" if data is None or data.reason is None else reasons.reason(data.reason)

    def work(conn: Connection) -> schemas.OperatorAlert:
        found = operator_acts.acknowledge_alert(conn, by, alert, reason)
        return schemas.operator_alert(found)

    try:
        return await database.write_as_operator(caller.wallet, work)
    except ActRefused as error:
        raise ApiError(409, str(error)) from error


@get(
    "/api/alerts/silences",
    tags=["operators"],
    responses=error_responses(401, 403),
    cache_control=caching.NO_STORE,
    security=security.OPERATOR,
)
async def list_silences(database: DatabaseDep, caller: CallerDep) -> SilenceList:
    """List the silences that last; only operators may."""
    require_operator(caller)
    rows = await database.read(alert_silences.current_silences)
    shown = [_silence(row) for row in rows]
    return SilenceList(shown, len(shown))


@post(
    "/api/alerts/silences",
    tags=["operators"],
    responses=error_responses(400, 401, 403, 413, 415),
    security=security.OPERATOR,
    opt={"bucket": "write"},
)
async def create_silence(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    caller: CallerDep,
    data: JSONBody[NewSilence],
) -> AlertSilence:
    """Send no message about the alerts that match for some time; only operators may.

    The alerts are still raised and shown. What is open at the end is sent then.
    """
    by = Operator(operator_of(caller), "api")

    def work(conn: Connection) -> AlertSilence:
        made = operator_acts.silence_alerts(
            conn,
            by,
            topic=data.topic,
            market_id=None if data.market_id is None else bytes.fromhex(data.market_id),
            subject=data.subject,
            lasts=timedelta(seconds=data.seconds),
            reason=reasons.reason(data.reason),
        )
        return _silence(made)

    made = await database.write_as_operator(caller.wallet, work)
    locate(request, "/api/alerts/silences")
    return made


@delete(
    "/api/alerts/silences/{silence:int}",
    status_code=200,
    tags=["operators"],
    responses=error_responses(400, 401, 403, 404, 413, 415),
    security=security.OPERATOR,
    opt={"bucket": "write"},
)
async def end_silence(
    database: DatabaseDep, caller: CallerDep, silence: SilencePath, data: JSONBody[SilenceEnd]
) -> AlertSilence:
    """End a silence now; only operators may.

    The `reason` is kept in the audit log. What is still open is sent then.
    """
    by = Operator(operator_of(caller), "api")
    reason = reasons.reason(data.reason)

    def work(conn: Connection) -> AlertSilence:
        return _silence(operator_acts.end_silence(conn, by, silence, reason))

    try:
        return await database.write_as_operator(caller.wallet, work)
    except ActRefused as error:
        raise not_found("Silence") from error


def _silence(row: alert_silences.Silence) -> AlertSilence:
    return AlertSilence(
        id=row.id,
        topic=row.topic,
        market_id=None if row.market_id is None else row.market_id.hex(),
        subject=row.subject,
        reason=row.reason,
        created_by=row.created_by,
        created_at=iso8601(row.created_at),
        ends_at=iso8601(row.ends_at),
    )


HANDLERS = [get_alert, acknowledge_alert, list_silences, create_silence, end_silence]
