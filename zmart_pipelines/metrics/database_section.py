"""The figures that are in the tables: business, health, ledger, database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client.metrics_core import Metric
from sqlalchemy import Connection, Engine

from zmart_pipelines.health.chain_tips import ChainTips
from zmart_pipelines.health.measure import ServiceHealth, health
from zmart_pipelines.ledger.model.provenance import Source
from zmart_pipelines.metrics.families import counter, counters, gauge, gauges
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries import system_figures as figures
from zmart_pipelines.store.queries.market_counts import market_counts_by_state

SEVERITIES: Final = ("critical", "high", "medium")
STATES: Final = ("ok", "idle", "starting", "degraded", "down")
CLASSES: Final = ("in_flight", "lag", "missing_event", "decode_error", "drift")
# What is counted by the rows that Postgres has inserted into a table.
_INSERTED: Final = {
    "chain.events": ("zmart_ledger_events", "Events received, from whatever source."),
    "chain.deliveries": ("zmart_ledger_deliveries", "Webhook deliveries stored."),
    "voting.ballots": ("zmart_stored_ballots", "Ballots collected."),
    "ops.audit": ("zmart_operator_acts", "Manual interventions: acts of operators and commands."),
    "ops.stream": ("zmart_stream_frames", "Frames of live updates written."),
}


def read_figures(pool: Engine, settings: Settings, tips: ChainTips | None) -> Iterator[Metric]:
    """Yield the figures, all of one snapshot.

    Args:
        pool: Of the reading role.
        settings: Thresholds of health.
        tips: Where the chain stands, if that is known.
    """
    with pool.connect() as conn:
        conn = conn.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        yield from _markets_and_votes(conn)
        yield from _health(health(conn, settings, tips=tips))
        yield from _ledger(conn)
        yield from _work(conn)
        yield from _storage(conn)


def _markets_and_votes(conn: Connection) -> Iterator[Metric]:
    counts = market_counts_by_state(conn)
    yield gauges(
        "zmart_markets",
        "Markets by state.",
        ("state",),
        (((state.name.lower(),), counts.get(state, 0)) for state in MarketState),
    )
    votes = figures.open_vote_figures(conn)
    yield gauges(
        "zmart_open_votes",
        "Votes that are open.",
        ("kind",),
        (((one.kind,), one.votes) for one in votes),
    )
    yield gauges(
        "zmart_open_vote_ballots",
        "Ballots of a market whose vote is open: median, largest and sum.",
        ("kind", "statistic"),
        (
            ((one.kind, name), value)
            for one in votes
            for name, value in (
                ("median", one.median),
                ("largest", one.largest),
                ("sum", one.ballots),
            )
        ),
    )
    yield gauges(
        "zmart_open_votes_threshold_met",
        "Open votes whose share of votes in favour reaches the threshold.",
        ("kind",),
        (((one.kind,), one.threshold_met) for one in votes),
    )


def _health(services: dict[str, ServiceHealth]) -> Iterator[Metric]:
    yield gauges(
        "zmart_service_state",
        "1 for the state that a service is in, 0 for the others.",
        ("service", "state"),
        (
            ((service.service, state), float(service.state == state))
            for service in services.values()
            for state in STATES
        ),
    )
    measured = [one for service in services.values() for one in service.quantities]
    yield gauges(
        "zmart_work_health",
        "A measured quantity of health, such as the age of the oldest due decision, in its unit.",
        ("service", "quantity", "unit"),
        (
            ((one.service, one.name, one.unit), one.value)
            for one in measured
            if one.value is not None
        ),
    )
    yield gauges(
        "zmart_work_waiting",
        "Work that a quantity of health counts as waiting: decisions, intents, deliveries.",
        ("service", "quantity"),
        (
            ((one.service, one.name), float(one.detail["waiting"]))
            for one in measured
            if "waiting" in one.detail
        ),
    )


def _ledger(conn: Connection) -> Iterator[Metric]:
    found = figures.ledger_figures(conn, webhook=Source.WEBHOOK)
    yield gauge(
        "zmart_ledger_recent_transactions",
        "Transactions on chain between ten minutes and one minute ago.",
        found.transactions,
    )
    yield gauge(
        "zmart_ledger_missed_by_webhooks",
        "Those of them that no webhook delivered.",
        found.missed_by_webhooks,
    )
    yield gauge(
        "zmart_ledger_uncovered_ranges", "Ranges of slots not read yet.", found.uncovered_ranges
    )
    yield gauge(
        "zmart_ledger_quarantined_events", "Events that cannot be decoded.", found.quarantined
    )
    yield gauge("zmart_ledger_gaps", "Transactions known to be missing.", found.gaps)
    yield gauge(
        "zmart_ledger_deliveries_waiting",
        "Webhook deliveries that are stored and not ingested.",
        found.deliveries_waiting,
    )
    last = figures.last_reconciliation(conn)
    if last is None:
        return
    yield gauges(
        "zmart_reconciliation_differences",
        "Fields that the last reconciliation found to differ from the chain, by class.",
        ("class",),
        (((name,), getattr(last, name)) for name in CLASSES),
    )
    yield gauge(
        "zmart_reconciliation_age_seconds", "Time since that reconciliation.", last.age_seconds
    )


def _work(conn: Connection) -> Iterator[Metric]:
    yield gauges(
        "zmart_intents_settled_last_hour",
        "Automatic transitions: intents that came to their end in the last hour.",
        ("action", "status"),
        (((one.action, one.status), one.intents) for one in figures.settled_last_hour(conn)),
    )
    breakers = figures.breaker_figures(conn)
    yield gauges(
        "zmart_breakers_unclosed",
        "Circuit breakers that are open or half-open.",
        ("kind",),
        (((one.kind,), one.unclosed) for one in breakers),
    )
    yield gauges(
        "zmart_breaker_open_seconds",
        "Time since the first of these opened.",
        ("kind",),
        (((one.kind,), one.open_seconds) for one in breakers),
    )
    yield counters(
        "zmart_breaker_changes",
        "Changes of the breakers' states; opening, probing and closing are one each.",
        ("kind",),
        (((one.kind,), one.changes) for one in breakers),
    )
    open_alerts = figures.open_alert_counts(conn)
    yield gauges(
        "zmart_alerts_open",
        "Open alerts by severity.",
        ("severity",),
        (
            ((name,), sum(one.alerts for one in open_alerts if one.severity == name))
            for name in SEVERITIES
        ),
    )
    yield gauges(
        "zmart_alerts_open_by_topic",
        "Open alerts by topic; a topic without one is absent.",
        ("severity", "topic"),
        (((one.severity, one.topic), one.alerts) for one in open_alerts),
    )


def _storage(conn: Connection) -> Iterator[Metric]:
    database = figures.database_figures(conn)
    yield gauge("zmart_database_bytes", "Size of the database on disk.", database.bytes)
    yield gauge("zmart_database_connections", "Open connections.", database.connections)
    yield gauge(
        "zmart_database_connections_max",
        "Connections that Postgres allows.",
        database.max_connections,
    )
    yield counters(
        "zmart_database_transactions",
        "Transactions by how they ended.",
        ("end",),
        ((("commit",), database.committed), (("rollback",), database.rolled_back)),
    )
    yield counter("zmart_database_deadlocks", "Deadlocks.", database.deadlocks)
    tables = figures.table_figures(conn)
    yield gauges(
        "zmart_table_bytes",
        "Size of a table with its indexes.",
        ("table",),
        (((one.name,), one.bytes) for one in tables),
    )
    yield gauges(
        "zmart_table_rows",
        "Estimated rows of a table.",
        ("table",),
        (((one.name,), one.rows) for one in tables),
    )
    inserted = {one.name: one.inserted for one in tables}
    for table, (name, documentation) in _INSERTED.items():
        yield counter(name, documentation, inserted[table])
