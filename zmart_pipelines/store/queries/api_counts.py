"""What the API's processes count: written by each of them, summed up by the monitor."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, func, text
from sqlalchemy.dialects.postgresql import insert

from zmart_pipelines.store.queries.row_mapping import one
from zmart_pipelines.store.tables.api_counts import api_counts

# Minutes over which errors are judged, between which clients are compared, in which refusals and
# failed pins are counted.
ERROR_MINUTES = 5
CLIENT_MINUTES = 5
REFUSAL_MINUTES = 60
PIN_MINUTES = 15


class ApiCounts(msgspec.Struct, frozen=True):
    """What a process has counted; ``clients`` is how many are connected for live updates."""

    requests: int = 0
    errors: int = 0
    rate_limit_refusals: int = 0
    failed_pins: int = 0
    clients: int = 0


class ApiFigures(msgspec.Struct, frozen=True):
    """The counts of all processes.

    Attributes:
        requests: Answered in the last ``ERROR_MINUTES``.
        errors: Of these, with a status of 500 to 599.
        rate_limit_refusals: Requests that a rate limit refused in the last ``REFUSAL_MINUTES``.
        failed_pins: Files that the pin store refused in the last ``PIN_MINUTES``.
        clients: Clients of the live updates in the last two full minutes, the larger number: a
            process that is busy may miss one.
        clients_before: The most in one of the ``CLIENT_MINUTES`` before these.
    """

    requests: int = 0
    errors: int = 0
    rate_limit_refusals: int = 0
    failed_pins: int = 0
    clients: int = 0
    clients_before: int = 0


def add_counts(conn: Connection, process: str, counts: ApiCounts) -> None:
    """Add what a process has counted since its last call to this minute. The caller commits."""
    row = api_counts.c
    added = insert(api_counts).values(
        minute=func.date_trunc("minute", func.now()),
        process=process,
        **msgspec.structs.asdict(counts),
    )
    summed = ("requests", "errors", "rate_limit_refusals", "failed_pins")
    conn.execute(
        added.on_conflict_do_update(
            index_elements=["minute", "process"],
            set_={name: row[name] + added.excluded[name] for name in summed}
            | {"clients": added.excluded.clients},
        )
    )


_FIGURES = text(
    f"""
WITH minutes AS (
    SELECT minute, sum(requests) AS requests, sum(errors) AS errors,
        sum(rate_limit_refusals) AS refusals, sum(failed_pins) AS failed_pins,
        sum(clients) AS clients
    FROM ops.api_counts WHERE minute > now() - interval '{REFUSAL_MINUTES} minutes'
    GROUP BY minute
), last AS (
    SELECT date_trunc('minute', now()) - interval '2 minutes' AS minute,
        date_trunc('minute', now()) AS now
)
SELECT
    coalesce(sum(requests) FILTER (
        WHERE m.minute > now() - interval '{ERROR_MINUTES} minutes'), 0)::bigint AS requests,
    coalesce(sum(errors) FILTER (
        WHERE m.minute > now() - interval '{ERROR_MINUTES} minutes'), 0)::bigint AS errors,
    coalesce(sum(refusals), 0)::bigint AS rate_limit_refusals,
    coalesce(sum(failed_pins) FILTER (
        WHERE m.minute > now() - interval '{PIN_MINUTES} minutes'), 0)::bigint AS failed_pins,
    coalesce(max(clients) FILTER (
        WHERE m.minute >= last.minute AND m.minute < last.now), 0)::bigint AS clients,
    coalesce(max(clients) FILTER (WHERE m.minute < last.minute
        AND m.minute >= last.minute - interval '{CLIENT_MINUTES} minutes'), 0)::bigint
        AS clients_before
FROM minutes AS m CROSS JOIN last
"""  # noqa: S608 - only numbers of ours
)


def api_figures(conn: Connection) -> ApiFigures:
    """Return the counts of all processes."""
    return one(ApiFigures, conn.execute(_FIGURES).one())
