"""What triggers look up when a row is inserted is found by an index, however large the table."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, text

from tests.store.conftest import Engines
from zmart_pipelines.store.engine import Role

MARKET, WALLET = bytes([7]) * 32, bytes([8]) * 32

DRAFT = """
INSERT INTO community.market_drafts (market_id, creator, nonce, question_hash, document, question,
    category, ends_at, expires_at)
SELECT sha256(int4send(n)), :wallet, int4send(n), 'Qm', '', 'Is this a question?', 'crypto', now(),
    now()
FROM generate_series({first}, {last}) AS n
"""
COMMENTS = """
INSERT INTO community.discussions (id, market_id, wallet, content)
SELECT md5(n::text)::uuid, :market, :wallet, 'hello' FROM generate_series(1, 50) AS n
"""
REPLY = """
INSERT INTO community.discussions (market_id, wallet, content, parent_id)
VALUES (:market, :wallet, 'again', md5('1')::uuid)
"""
VOTE = "INSERT INTO community.comment_votes (comment_id, wallet) VALUES (md5('1')::uuid, :wallet)"
TALLY = "INSERT INTO voting.tallies (market_id, kind) VALUES (:market, 'proposal')"

# A transaction's numbers also hold what its connection did shortly before.
READ_WHOLE = """
SELECT schemaname || '.' || relname, seq_tup_read FROM pg_stat_xact_user_tables
WHERE seq_tup_read > 0 AND schemaname IN ('community', 'market', 'voting', 'accounts')
"""


def run(conn: Connection, statement: str) -> None:
    values = {"market": MARKET, "wallet": WALLET}
    used = {name: value for name, value in values.items() if f":{name}" in statement}
    conn.execute(text(statement), used)


@pytest.mark.parametrize(
    "statement",
    [DRAFT.format(first=51, last=51), REPLY, VOTE, TALLY],
    ids=["draft", "reply", "comment vote", "tally"],
)
def test_row_is_inserted_without_a_sequential_scan(engines: Engines, statement: str) -> None:
    with engines[Role.OWNER].begin() as conn:
        run(conn, "INSERT INTO community.users (wallet) VALUES (:wallet)")
        run(conn, DRAFT.format(first=1, last=50))
        run(conn, COMMENTS)
    with engines[Role.OWNER].begin() as conn:
        # The planner prefers a scan of a small table; without an index it has no choice.
        conn.exec_driver_sql("SET LOCAL enable_seqscan = off")
        before = conn.exec_driver_sql(READ_WHOLE).all()
        run(conn, statement)
        assert conn.exec_driver_sql(READ_WHOLE).all() == before
