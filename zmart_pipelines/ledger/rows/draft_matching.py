"""Joining a market on chain with the draft that gave it its question."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection

from zmart_pipelines.store.binary_arrays import keys
from zmart_pipelines.store.statement_pipeline import Statement, run

_MATCH_DRAFTS = """
UPDATE community.market_drafts AS d SET matched_at = now()
FROM market.markets AS m
WHERE d.market_id = ANY(%b) AND d.matched_at IS NULL AND m.market_id = d.market_id
    AND m.creator = d.creator AND m.question_hash = d.question_hash
"""

_RELEASE_DRAFTS = """
UPDATE community.market_drafts SET matched_at = NULL WHERE market_id = ANY(%b)
"""


def match_drafts_statement(appeared: Collection[bytes]) -> Statement:
    """Joins drafts with markets that appeared.

    A draft speaks for a market of the same id whose creator and question hash are its own.
    """
    return Statement(_MATCH_DRAFTS, (keys(list(appeared)),))


def update_draft_matches(
    conn: Connection, *, appeared: Collection[bytes] = (), vanished: Collection[bytes] = ()
) -> None:
    """Join drafts with markets that appeared; release those of markets that vanished."""
    if appeared:
        run(conn, match_drafts_statement(appeared))
    if vanished:
        run(conn, Statement(_RELEASE_DRAFTS, (keys(list(vanished)),)))
