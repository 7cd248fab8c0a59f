"""Figures of the whole system for metrics; each costs the same however old the system is.

What grows for ever is not counted: rows ever inserted come from Postgres's own statistics, and
what happened lately from an index.
"""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import Connection, bindparam, text

from zmart_pipelines.store.queries.row_mapping import many, one


class TableFigures(msgspec.Struct, frozen=True):
    """A table as Postgres's statistics have it.

    Attributes:
        name: Schema and table.
        bytes: Size with its indexes.
        rows: Estimated number of rows.
        inserted: Rows inserted since the statistics were reset, those of rolled back transactions
            included.
    """

    name: str
    bytes: int
    rows: int
    inserted: int


_TABLES: Final = text(
    """
SELECT schemaname || '.' || relname AS name, pg_total_relation_size(relid) AS bytes,
    n_live_tup AS rows, n_tup_ins AS inserted
FROM pg_stat_user_tables
WHERE schemaname IN ('chain', 'market', 'voting', 'community', 'accounts', 'ops', 'dagster')
ORDER BY 1
"""
)


def table_figures(conn: Connection) -> list[TableFigures]:
    """Return the figures of every table of ours and of Dagster's."""
    return many(TableFigures, conn.execute(_TABLES))


class DatabaseFigures(msgspec.Struct, frozen=True):
    """The database as a whole.

    Attributes:
        bytes: Its size on disk.
        connections: Open connections of clients.
        max_connections: How many the server allows.
        committed: Transactions committed since the statistics were reset.
        rolled_back: Transactions rolled back since then.
        deadlocks: Deadlocks since then.
    """

    bytes: int
    connections: int
    max_connections: int
    committed: int
    rolled_back: int
    deadlocks: int


_DATABASE: Final = text(
    """
SELECT pg_database_size(current_database()) AS bytes,
    numbackends AS connections,
    current_setting('max_connections')::int AS max_connections,
    xact_commit AS committed, xact_rollback AS rolled_back, deadlocks
FROM pg_stat_database WHERE datname = current_database()
"""
)


def database_figures(conn: Connection) -> DatabaseFigures:
    """Return the figures of the database that ``conn`` is connected to."""
    return one(DatabaseFigures, conn.execute(_DATABASE).one())


class OpenVotes(msgspec.Struct, frozen=True):
    """The votes of one kind that are open.

    Attributes:
        kind: ``proposal`` or ``dispute``.
        votes: How many are open.
        ballots: Ballots of all of them.
        median: Ballots of the one in the middle.
        largest: Ballots of the one with most.
        threshold_met: Those whose share of votes in favour reaches the threshold.
    """

    kind: str
    votes: int
    ballots: int
    median: float
    largest: int
    threshold_met: int


_VOTES: Final = text(
    """
SELECT kinds.kind, count(t.market_id) AS votes, coalesce(sum(t.ballots), 0)::bigint AS ballots,
    coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY t.ballots), 0) AS median,
    coalesce(max(t.ballots), 0) AS largest,
    count(*) FILTER (WHERE t.votes_for + t.votes_against > 0
        AND t.votes_for * 10000 >= (t.votes_for + t.votes_against)
            * CASE kinds.kind WHEN 'proposal' THEN c.proposal_approval_threshold
                ELSE c.dispute_success_threshold END) AS threshold_met
FROM unnest(ARRAY['proposal', 'dispute']) AS kinds (kind)
LEFT JOIN voting.tallies AS t ON t.kind = kinds.kind AND t.status = 'open'
LEFT JOIN LATERAL (
    SELECT proposal_approval_threshold, dispute_success_threshold FROM market.config_history
    ORDER BY slot DESC, index_in_block DESC, signature DESC, log_index DESC LIMIT 1
) AS c ON true
GROUP BY kinds.kind ORDER BY kinds.kind
"""
)


def open_vote_figures(conn: Connection) -> list[OpenVotes]:
    """Return the figures of open votes, of either kind."""
    return many(OpenVotes, conn.execute(_VOTES))


class ActionCount(msgspec.Struct, frozen=True):
    """How many intents of an action came to this status."""

    action: str
    status: str
    intents: int


_SETTLED: Final = text(
    """
SELECT action, status, count(*) AS intents FROM ops.intents
WHERE status NOT IN ('planned', 'live') AND updated_at > clock_timestamp() - interval '1 hour'
GROUP BY action, status ORDER BY action, status
"""
)


def settled_last_hour(conn: Connection) -> list[ActionCount]:
    """Return how many intents came to their end in the last hour."""
    return many(ActionCount, conn.execute(_SETTLED))


class AlertCount(msgspec.Struct, frozen=True):
    """How many alerts of a severity and topic are open."""

    severity: str
    topic: str
    alerts: int


_ALERTS: Final = text(
    """
SELECT severity, topic, count(*) AS alerts FROM ops.alerts
WHERE cleared_at IS NULL GROUP BY severity, topic ORDER BY severity, topic
"""
)


def open_alert_counts(conn: Connection) -> list[AlertCount]:
    """Return how many alerts are open."""
    return many(AlertCount, conn.execute(_ALERTS))


class BreakerFigures(msgspec.Struct, frozen=True):
    """The breakers of one kind (``rpc``, ``action``).

    Attributes:
        kind: What they guard.
        unclosed: Those that are open or half-open.
        open_seconds: Time since the first of these opened; 0 where none is.
        changes: Changes of state, ever; opening, probing and closing are one each.
    """

    kind: str
    unclosed: int
    open_seconds: float
    changes: int


_BREAKERS: Final = text(
    """
SELECT kinds.kind, count(b.name) FILTER (WHERE b.state <> 'closed') AS unclosed,
    coalesce(max(extract(epoch FROM clock_timestamp() - b.opened_at))
        FILTER (WHERE b.state <> 'closed'), 0)::float8 AS open_seconds,
    coalesce(sum(b.generation), 0)::bigint AS changes
FROM unnest(ARRAY['rpc', 'action']) AS kinds (kind)
LEFT JOIN ops.breakers AS b ON split_part(b.name, ':', 1) = kinds.kind
GROUP BY kinds.kind ORDER BY kinds.kind
"""
)


def breaker_figures(conn: Connection) -> list[BreakerFigures]:
    """Return the figures of breakers, of either kind."""
    return many(BreakerFigures, conn.execute(_BREAKERS))


class LedgerFigures(msgspec.Struct, frozen=True):
    """How complete the ledger is.

    Attributes:
        transactions: Those of the last ten minutes, of which the last minute may be on its way.
        missed_by_webhooks: Those of them that no webhook delivered.
        uncovered_ranges: Ranges between covered ones.
        quarantined: Events that cannot be decoded.
        gaps: Open gaps.
        deliveries_waiting: Deliveries that are stored and not ingested.
    """

    transactions: int
    missed_by_webhooks: int
    uncovered_ranges: int
    quarantined: int
    gaps: int
    deliveries_waiting: int


# The last ten minutes without the last one, whose transactions may be on their way.
_FROM_SECONDS: Final = 600
_TO_SECONDS: Final = 60
RECENT_SECONDS: Final = _FROM_SECONDS - _TO_SECONDS

_LEDGER: Final = text(
    f"""
SELECT recent.*,
    (SELECT greatest(count(*) - 1, 0) FROM chain.coverage) AS uncovered_ranges,
    (SELECT count(*) FROM chain.events
        WHERE quarantine_reason IS NOT NULL AND commitment <> 'orphaned') AS quarantined,
    (SELECT count(*) FROM chain.gaps WHERE closed_at IS NULL) AS gaps,
    (SELECT count(*) FROM chain.deliveries WHERE status <> 'ingested') AS deliveries_waiting
FROM (
    SELECT count(*) AS transactions, count(*) FILTER (WHERE sources & :webhook = 0)
        AS missed_by_webhooks
    FROM chain.transactions
    WHERE block_time BETWEEN extract(epoch FROM clock_timestamp())::bigint - {_FROM_SECONDS}
            AND extract(epoch FROM clock_timestamp())::bigint - {_TO_SECONDS}
        AND commitment <> 'orphaned'
) AS recent
"""  # noqa: S608 - numbers
).bindparams(bindparam("webhook"))


def ledger_figures(conn: Connection, *, webhook: int) -> LedgerFigures:
    """Return the figures; ``webhook`` is the bit of that source of a reading."""
    return one(LedgerFigures, conn.execute(_LEDGER, {"webhook": webhook}).one())


class ReconciliationFigures(msgspec.Struct, frozen=True):
    """The last reconciliation: its age in seconds, and the fields that differed by class."""

    age_seconds: float
    in_flight: int
    lag: int
    missing_event: int
    decode_error: int
    drift: int


_RECONCILIATION: Final = text(
    """
SELECT extract(epoch FROM clock_timestamp() - reconciled_at)::float8 AS age_seconds,
    in_flight, lag, missing_event, decode_error, drift
FROM ops.reconciliations ORDER BY id DESC LIMIT 1
"""
)


def last_reconciliation(conn: Connection) -> ReconciliationFigures | None:
    """Return the figures of the last reconciliation; None before the first."""
    row = conn.execute(_RECONCILIATION).one_or_none()
    return None if row is None else one(ReconciliationFigures, row)
