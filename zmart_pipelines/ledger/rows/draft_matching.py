"""Joining a market on chain with the draft that gave it its question."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection

from zmart_pipelines.store.binary_arrays import keys
from zmart_pipelines.store.statement_pipeline import Statement, run

_MATCH = """
UPDATE community.market_drafts AS d SET matched_at = now()
FROM market.markets AS m
WHERE d.market_id = ANY(%b) AND d.matched_at IS NULL AND m.market_id = d.market_id
    AND m.creator = d.creator AND m.question_hash = d.question_hash
"""

_RELEASE = """
UPDATE community.market_drafts SET matched_at = NULL WHERE market_id = ANY(%b)
"""


def matching(appeared: Collection[bytes]) -> Statement:
    """Joins drafts with markets that appeared.

    A draft speaks for a market of the same id whose creator and question hash are its own.
    """
    return Statement(_MATCH, (keys(list(appeared)),))


def match(
    conn: Connection, *, appeared: Collection[bytes] = (), vanished: Collection[bytes] = ()
) -> None:
    """Join drafts with markets that appeared; release those of markets that vanished."""
    if appeared:
        run(conn, matching(appeared))
    if vanished:
        run(conn, Statement(_RELEASE, (keys(list(vanished)),)))
