"""What the tables say of finished and unfinished work, for health. Three statements, read only."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import ARRAY, Connection, Text, bindparam, text
from sqlalchemy.dialects.postgresql import TIMESTAMP

from zmart_pipelines.store.queries.row_mapping import many, one


class WorkFacts(msgspec.Struct, frozen=True):
    """The state of the readers, of deliveries, checks and breakers.

    Attributes:
        now: The database's clock, or the time that the caller gave.
        started_at: When the system last started: the end of its ``zmart migrate``, or the start of
            Postgres where that never ran.
        confirmed_slot: Last slot of the confirmed poll; None before the first.
        confirmed_at: When that poll had read everything up to the cluster's tip.
        finalized_slot: Last slot of the finalized window; None before the first.
        finalized_at: When that window had covered everything up to the cluster's finalized slot.
        delivery_at: When the oldest delivery that waits for its ingestion was received.
        deliveries_waiting: How many of them wait.
        deliveries_given_up: Deliveries that failed so often that they are left to operators.
        failing_checks: Checks with an open alert of severity high, as ``asset:check``.
        failing_since: When the oldest of these alerts was raised.
        stale_assets: Assets whose check of their age has an open alert.
        stale_since: When the oldest of these alerts was raised.
    """

    now: datetime
    started_at: datetime
    confirmed_slot: int | None
    confirmed_at: datetime | None
    finalized_slot: int | None
    finalized_at: datetime | None
    delivery_at: datetime | None
    deliveries_waiting: int
    deliveries_given_up: int
    failing_checks: list[str]
    failing_since: datetime | None
    stale_assets: list[str]
    stale_since: datetime | None


_FACTS = text(
    """
SELECT
    coalesce(:now, clock_timestamp()) AS now,
    coalesce(
        (SELECT last_success_at FROM ops.heartbeats WHERE service = :start),
        pg_postmaster_start_time()
    ) AS started_at,
    confirmed.slot AS confirmed_slot,
    confirmed.reached_at AS confirmed_at,
    finalized.slot AS finalized_slot,
    finalized.reached_at AS finalized_at,
    deliveries.*,
    checks.*
FROM (
    SELECT min(received_at) FILTER (WHERE attempts < :delivery_attempts) AS delivery_at,
        count(*) FILTER (WHERE attempts < :delivery_attempts) AS deliveries_waiting,
        count(*) FILTER (WHERE attempts >= :delivery_attempts) AS deliveries_given_up
    FROM chain.deliveries WHERE status <> 'ingested'
) AS deliveries
CROSS JOIN (
    SELECT coalesce(array_agg(subject ORDER BY subject)
            FILTER (WHERE NOT stale AND severity = 'high'), '{}') AS failing_checks,
        min(raised_at) FILTER (WHERE NOT stale AND severity = 'high') AS failing_since,
        coalesce(array_agg(split_part(subject, ':', 1) ORDER BY subject)
            FILTER (WHERE stale), '{}') AS stale_assets,
        min(raised_at) FILTER (WHERE stale) AS stale_since
    FROM (
        SELECT subject, severity, raised_at, split_part(subject, ':', 2) = :age_check AS stale
        FROM ops.alerts WHERE topic = 'check' AND cleared_at IS NULL
    ) AS open_checks
) AS checks
LEFT JOIN chain.cursors AS confirmed ON confirmed.name = 'confirmed'
LEFT JOIN chain.cursors AS finalized ON finalized.name = 'finalized'
"""
).bindparams(bindparam("now", type_=TIMESTAMP(timezone=True)))


def work_facts(
    conn: Connection,
    *,
    start: str,
    delivery_attempts: int,
    age_check: str,
    now: datetime | None = None,
) -> WorkFacts:
    """Read the facts.

    Args:
        conn: Reads the tables.
        start: Service whose heartbeat marks the start of the system.
        delivery_attempts: Failed attempts after which a delivery is left to operators.
        age_check: Name of the check that an asset is not too old.
        now: The time to measure at; None: the database's clock.
    """
    row = conn.execute(
        _FACTS,
        {
            "now": now,
            "start": start,
            "delivery_attempts": delivery_attempts,
            "age_check": age_check,
        },
    ).one()
    return one(WorkFacts, row)


class JobRuns(msgspec.Struct, frozen=True):
    """How the runs of one job ended.

    Attributes:
        job: Name of the job.
        success_at: End of the last run that succeeded, if any.
        failed: Runs that failed since.
        failed_at: End of the last of them.
        error: Its message.
    """

    job: str
    success_at: datetime | None
    failed: int
    failed_at: datetime | None
    error: str | None


_JOBS = text(
    """
SELECT jobs.job, success.ended_at AS success_at, failures.*
FROM unnest(cast(:jobs AS text[])) AS jobs (job)
LEFT JOIN LATERAL (
    SELECT ended_at FROM ops.job_runs
    WHERE job_runs.job = jobs.job AND succeeded ORDER BY ended_at DESC LIMIT 1
) AS success ON true
CROSS JOIN LATERAL (
    SELECT count(*) AS failed, max(ended_at) AS failed_at,
        (array_agg(error ORDER BY ended_at DESC))[1] AS error
    FROM ops.job_runs
    WHERE job_runs.job = jobs.job AND NOT succeeded
        AND job_runs.ended_at > coalesce(success.ended_at, '-infinity')
) AS failures
"""
).bindparams(bindparam("jobs", type_=ARRAY(Text)))


def job_runs(conn: Connection, jobs: Collection[str]) -> list[JobRuns]:
    """Return how the runs of each of these jobs ended, also of a job that never ran."""
    return many(JobRuns, conn.execute(_JOBS, {"jobs": sorted(jobs)}))


class OpenIntents(msgspec.Struct, frozen=True):
    """The open intents of one action and status.

    Attributes:
        action: Their action.
        status: ``planned``, or ``live`` when a transaction may still land.
        number: How many.
        oldest: Id of the oldest.
        since: When the decision of the oldest became due, or its action was switched on again if
            that was later.
        reason: What the oldest waits for, if that is known.
    """

    action: str
    status: str
    number: int
    oldest: int
    since: datetime
    reason: str | None


_INTENTS = text(
    """
SELECT i.action, i.status, count(*) AS number,
    (array_agg(i.id ORDER BY i.due_at, i.id))[1] AS oldest,
    greatest(min(i.due_at), (
        SELECT max(changed_at) FROM ops.switches AS s WHERE s.action IN (i.action, 'all')
    )) AS since,
    (array_agg(i.reason ORDER BY i.due_at, i.id))[1] AS reason
FROM ops.intents AS i
WHERE i.status IN ('planned', 'live')
GROUP BY i.action, i.status
"""
)


def open_intents_by_action(conn: Connection) -> list[OpenIntents]:
    """Return the open intents, grouped by action and status."""
    return many(OpenIntents, conn.execute(_INTENTS))


_LONGEST_PAUSE = text(
    """
SELECT max(ended_at - before) FROM (
    SELECT ended_at, lag(ended_at) OVER (ORDER BY ended_at) AS before
    FROM ops.job_runs WHERE job = :job AND succeeded
) AS successes
WHERE ended_at > coalesce(:now, clock_timestamp()) - make_interval(secs => :seconds)
    AND before > coalesce(
        (SELECT last_success_at FROM ops.heartbeats WHERE service = :start), '-infinity'
    )
"""
).bindparams(bindparam("now", type_=TIMESTAMP(timezone=True)))


def longest_pause(
    conn: Connection, job: str, *, start: str, seconds: float, now: datetime | None = None
) -> timedelta:
    """Return the longest time between two successes of a job that ended in the last ``seconds``.

    Both are later than the start of the system; ``start`` as for :func:`work_facts`.
    """
    values = {"job": job, "start": start, "seconds": seconds, "now": now}
    return conn.execute(_LONGEST_PAUSE, values).scalar_one() or timedelta()
