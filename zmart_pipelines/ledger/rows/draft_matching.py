"""Matching a market on chain with the draft that holds its question."""

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


def match_drafts_statement(created: Collection[bytes]) -> Statement:
    """Build the statement that matches drafts with newly projected markets.

    A draft matches the market of its id only if creator and question hash are equal too.
    """
    return Statement(_MATCH_DRAFTS, (keys(list(created)),))


def update_draft_matches(
    conn: Connection, *, created: Collection[bytes] = (), removed: Collection[bytes] = ()
) -> None:
    """Match the drafts of newly projected markets; release those of removed markets."""
    if created:
        run(conn, match_drafts_statement(created))
    if removed:
        run(conn, Statement(_RELEASE_DRAFTS, (keys(list(removed)),)))
