"""The catalogue of what alerts mean, and what to do first; public, as the documentation is."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import get
from litestar.params import PathParameter

from api import caching
from api.dependencies import READ_ERRORS, error_responses
from api.errors import not_found
from zmart_pipelines.client_schemas.alerts import Severity
from zmart_pipelines.monitoring.alert_causes import CAUSES, Cause
from zmart_pipelines.monitoring.runbooks import RunbookSection, read_runbook


class AlertCause(msgspec.Struct, frozen=True, kw_only=True):
    """What alerts of a topic mean: `summary`, and what the operator does first: `remedy`.

    The summary is plain text; in the remedy commands and names are in backticks.

    `severity` is that of a new alert, `severe` that past the second threshold where there is one.
    `runbook` is the path of its runbook in the repository.
    """

    topic: str
    severity: Severity
    severe: Severity | None
    summary: str
    remedy: str
    runbook: str


class AlertCauseList(msgspec.Struct, frozen=True):
    """Every cause of an alert."""

    causes: list[AlertCause]
    count: int


class Runbook(msgspec.Struct, frozen=True):
    """The runbook of a cause: what to look at, what to do and not to do, and when it is over."""

    cause: AlertCause
    sections: list[RunbookSection]


@get(
    "/api/alerts/causes",
    tags=["ledger"],
    responses=READ_ERRORS,
    cache_control=caching.A_SECOND,
    sync_to_thread=False,
)
def list_alert_causes() -> AlertCauseList:
    """List what alerts mean, with what to do first."""
    causes = [_cause(one) for one in CAUSES.values()]
    return AlertCauseList(causes, len(causes))


@get(
    "/api/alerts/causes/{topic:str}/runbook",
    tags=["ledger"],
    responses=error_responses(400, 404),
    cache_control=caching.A_SECOND,
    sync_to_thread=True,
)
def get_runbook(
    topic: Annotated[str, PathParameter(max_length=64, description="The topic of the alert.")],
) -> Runbook:
    """Get the runbook of a cause."""
    sections = read_runbook(topic)
    if sections is None:
        raise not_found("Runbook")
    return Runbook(_cause(CAUSES[topic]), sections)


def _cause(cause: Cause) -> AlertCause:
    return AlertCause(
        topic=cause.topic,
        severity=cause.severity,
        severe=cause.severe,
        summary=cause.summary,
        remedy=cause.remedy,
        runbook=cause.runbook,
    )


HANDLERS = [list_alert_causes, get_runbook]
