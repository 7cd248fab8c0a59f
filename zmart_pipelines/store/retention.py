"""What is deleted from the tables that would otherwise grow without bound.

A rule deletes rows by what happened to them and when, and never what a client, an open gap or a
ballot bundle still needs. Ballots, comments, drafts that became markets, the ledger's
transactions and events, tallies, intents and attempts have no rule: they are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy import Engine, text

from zmart_pipelines.settings import Settings

# Rows of one statement, so that no lock is held for long and a stopped job keeps what it did.
BATCH: Final = 5_000


class Rule(msgspec.Struct, frozen=True):
    """One table's retention.

    Attributes:
        table: Qualified name.
        key: Columns that identify a row.
        condition: SQL over alias ``t`` and the parameter ``:before``: which rows are not needed.
        days: Name of the setting that says how many days such a row is kept.
    """

    table: str
    key: tuple[str, ...]
    condition: str
    days: str


class Pruned(msgspec.Struct, frozen=True):
    """What one rule freed."""

    table: str
    rows: int
    kept_days: int


RULES: Final[Sequence[Rule]] = (
    Rule(
        "ops.stream",
        ("position",),
        # The last frame of a channel stays: its successor names it, and a client that asks for
        # what came after an earlier one learns from it that frames in between are gone.
        "t.created_at < :before AND EXISTS (SELECT FROM ops.stream AS later"
        " WHERE later.channel = t.channel AND later.position > t.position)",
        "stream_keep_days",
    ),
    Rule(
        "chain.hints",
        ("signature",),
        "t.status <> 'pending' AND t.settled_at < :before",
        "deliveries_keep_days",
    ),
    Rule(
        "chain.deliveries",
        ("id",),
        # A hint's delivery is what explains a gap, so it stays while the hint does.
        "t.status = 'ingested' AND t.unreadable_count = 0 AND t.received_at < :before"
        " AND NOT EXISTS (SELECT FROM chain.hints AS h WHERE h.delivery_id = t.id)",
        "deliveries_keep_days",
    ),
    Rule(
        "chain.deliveries",
        ("id",),
        "(t.status = 'failed' OR t.status = 'ingested' AND t.unreadable_count > 0)"
        " AND t.received_at < :before"
        " AND NOT EXISTS (SELECT FROM chain.hints AS h WHERE h.delivery_id = t.id)",
        "failures_keep_days",
    ),
    Rule("chain.gaps", ("id",), "t.closed_at < :before", "failures_keep_days"),
    Rule("ops.alerts", ("id",), "t.cleared_at < :before", "failures_keep_days"),
    Rule("ops.differences", ("id",), "t.cleared_at < :before", "failures_keep_days"),
    Rule("ops.reconciliations", ("id",), "t.reconciled_at < :before", "reports_keep_days"),
    Rule("ops.repairs", ("id",), "t.repaired_at < :before", "failures_keep_days"),
    Rule("ops.run_claims", ("run_id",), "t.claimed_at < :before", "deliveries_keep_days"),
    Rule(
        "community.signed_requests",
        ("signature",),
        # The signed texts have long expired, so none of these signatures can be used again.
        "t.accepted_at < :before",
        "signed_requests_keep_days",
    ),
    Rule(
        "community.idempotency_keys",
        ("wallet", "key"),
        "t.created_at < :before",
        "idempotency_keys_keep_days",
    ),
    Rule(
        "accounts.session_writes",
        ("id",),
        # Only the last hour is counted.
        "t.accepted_at < :before",
        "signed_requests_keep_days",
    ),
    Rule("accounts.nonces", ("nonce",), "t.expires_at < :before", "sessions_keep_days"),
    Rule(
        "accounts.refresh_tokens",
        ("hash",),
        # A used token is kept while it would be valid: used again, it ends its session.
        "t.expires_at < :before",
        "sessions_keep_days",
    ),
    Rule(
        "accounts.sessions",
        ("id",),
        # Its refresh tokens go with it.
        "least(t.expires_at, t.ended_at) < :before",
        "sessions_keep_days",
    ),
    Rule(
        "ops.relayed_transactions",
        ("signature",),
        "t.settled_at < :before",
        "relayed_transactions_keep_days",
    ),
    Rule(
        "ops.job_runs",
        ("run_id",),
        # The last success of a job stays: health is measured from it.
        "t.ended_at < :before AND EXISTS (SELECT FROM ops.job_runs AS later"
        " WHERE later.job = t.job AND later.succeeded AND later.ended_at > t.ended_at)",
        "runs_keep_days",
    ),
    Rule(
        "community.market_drafts",
        ("market_id",),
        "t.matched_at IS NULL AND t.expires_at < :before",
        "expired_drafts_keep_days",
    ),
)


def prune(engine: Engine, settings: Settings, now: datetime) -> list[Pruned]:
    """Apply every rule as of ``now`` (UTC) and return what each freed.

    Each batch is a transaction of its own. ``now`` is an argument so that a test can compress
    weeks; rows themselves carry the database's clock.
    """
    return [_apply(engine, rule, getattr(settings, rule.days), now) for rule in RULES]


def _apply(engine: Engine, rule: Rule, days: int, now: datetime) -> Pruned:
    key = ", ".join(rule.key)
    statement = text(
        f"DELETE FROM {rule.table} WHERE ({key}) IN "  # noqa: S608 - constants of this module
        f"(SELECT {key} FROM {rule.table} AS t WHERE {rule.condition} LIMIT {BATCH})"
    )
    before = now - timedelta(days=days)
    rows = 0
    while True:
        with engine.begin() as conn:
            deleted = conn.execute(statement, {"before": before}).rowcount
        rows += deleted
        if deleted < BATCH:
            return Pruned(rule.table, rows, days)
