"""What is deleted from the tables that would otherwise grow without bound.

A rule deletes rows by what happened to them and when, and never what a client, an open gap or a
ballot bundle still needs. Ballots, comments, drafts that became markets, the ledger's
transactions and events, tallies, intents and attempts have no rule: they are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy import Engine, text

from zmart_pipelines.settings import Settings
from zmart_pipelines.store.locks import lock_pinned_file

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
        # The last frame of each type of a channel stays: its successor names it, and a client that
        # asks for what came after an earlier one learns from it that frames in between are gone.
        "t.created_at < :before AND EXISTS (SELECT FROM ops.stream AS later"
        " WHERE later.channel = t.channel AND later.type = t.type"
        " AND later.position > t.position)",
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
    Rule(
        "ops.alert_messages",
        ("id",),
        "coalesce(t.sent_at, t.abandoned_at) < :before",
        "failures_keep_days",
    ),
    # Only the last hour is counted.
    Rule("ops.api_counts", ("minute", "process"), "t.minute < :before", "idle_ticks_keep_days"),
    Rule("ops.alert_silences", ("id",), "t.ends_at < :before", "failures_keep_days"),
    Rule("ops.alerts", ("id",), "t.cleared_at < :before", "failures_keep_days"),
    Rule("ops.differences", ("id",), "t.cleared_at < :before", "failures_keep_days"),
    Rule("ops.reconciliations", ("id",), "t.reconciled_at < :before", "reports_keep_days"),
    Rule(
        "ops.table_sizes", ("name", "measured_at"), "t.measured_at < :before", "reports_keep_days"
    ),
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
    Rule("accounts.realtime_tickets", ("hash",), "t.expires_at < :before", "sessions_keep_days"),
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
)


# What of the files that users had pinned is not needed: rows that go, and the files they name.
# A draft that was replaced or deleted stays until it expires, since its market may still be made.
FILE_RULES: Final[Sequence[Rule]] = (
    Rule(
        "community.market_drafts",
        ("market_id",),
        "t.matched_at IS NULL AND t.expires_at < :before",
        "expired_drafts_keep_days",
    ),
    Rule(
        "community.documents",
        ("wallet", "cid"),
        "t.created_at < :before"
        " AND NOT EXISTS (SELECT FROM community.market_drafts AS d WHERE t.cid = ANY(d.evidence))"
        " AND NOT EXISTS (SELECT FROM community.users AS u WHERE u.avatar_cid = t.cid)"
        " AND NOT EXISTS (SELECT FROM market.markets AS m WHERE m.evidence_hash = t.cid)",
        "documents_keep_days",
    ),
    Rule(
        "community.ipfs_anchors",
        ("market_id", "day", "part"),
        # A market's last snapshot stays: the next one continues it. Then a week of grace, in which
        # a client that has read the list still finds the file.
        "t.period_end < :before - interval '7 days' AND t.pinned_at IS NOT NULL"
        " AND EXISTS (SELECT FROM community.ipfs_anchors AS later"
        " WHERE later.market_id = t.market_id AND later.day > t.day)",
        "snapshots_keep_days",
    ),
)
_FILE: Final = {
    "community.market_drafts": "question_hash",
    "community.documents": "cid",
    "community.ipfs_anchors": "cid",
}
# Whether something names a file: a row of a user, the chain, or what the pipelines submit.
_IS_NEEDED: Final = text(
    "SELECT EXISTS (SELECT FROM community.market_drafts WHERE question_hash = :cid)"
    " OR EXISTS (SELECT FROM community.market_drafts WHERE :cid = ANY(evidence))"
    " OR EXISTS (SELECT FROM community.documents WHERE cid = :cid)"
    " OR EXISTS (SELECT FROM community.ipfs_anchors WHERE cid = :cid)"
    " OR EXISTS (SELECT FROM community.users WHERE avatar_cid = :cid)"
    " OR EXISTS (SELECT FROM market.markets WHERE :cid IN (question_hash, evidence_hash))"
    " OR EXISTS (SELECT FROM voting.tallies WHERE bundle_cid = :cid)"
    " OR EXISTS (SELECT FROM ops.intents WHERE bundle_cid = :cid"
    " OR strpos(CAST(arguments AS text), :cid) > 0)"
)


def prune_files(
    engine: Engine, settings: Settings, now: datetime, unpin: Callable[[str], None]
) -> list[Pruned]:
    """Delete the rows of ``FILE_RULES`` and unpin the files that nothing names any more.

    A row and its file go in one transaction, which holds the file's lock: a file that cannot be
    unpinned keeps its row for the next time, and one that is needed again meanwhile is pinned
    after it.

    Args:
        engine: Of the pipelines.
        settings: Have the days.
        now: As of when, UTC.
        unpin: Unpins a file by its CID; what it raises ends the run.
    """
    return [_prune_files(engine, rule, settings, now, unpin) for rule in FILE_RULES]


def _prune_files(
    engine: Engine, rule: Rule, settings: Settings, now: datetime, unpin: Callable[[str], None]
) -> Pruned:
    days = getattr(settings, rule.days)
    before = now - timedelta(days=days)
    names = (*rule.key, _FILE[rule.table])
    found = text(
        f"SELECT {', '.join(names)} FROM {rule.table} AS t"  # noqa: S608 - constants of this module
        f" WHERE {rule.condition}"
    )
    own = " AND ".join(f"t.{column} = :{column}" for column in rule.key)
    delete = text(
        f"DELETE FROM {rule.table} AS t WHERE {own}"  # noqa: S608 - likewise
        f" AND {rule.condition}"
    )
    with engine.connect() as conn:
        rows = [row._asdict() for row in conn.execute(found, {"before": before})]
    deleted = 0
    for row in rows:
        cid = row[names[-1]]
        with engine.begin() as conn:
            lock_pinned_file(conn, cid)
            deleted += conn.execute(delete, {**row, "before": before}).rowcount
            if not conn.execute(_IS_NEEDED, {"cid": cid}).scalar_one():
                unpin(cid)
    return Pruned(rule.table, deleted, days)


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
