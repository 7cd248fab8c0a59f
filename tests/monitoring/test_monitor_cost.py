"""What a round of the monitor reads does not grow with the markets that are as they should be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, text

from tests.fixtures.touched_blocks import count_at_commit, touched_blocks
from zmart_pipelines.monitoring.alerts import open_alerts
from zmart_pipelines.monitoring.monitor import run_monitor
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings, Threshold
from zmart_pipelines.store.engine import Role

TABLES = ["market.%", "community.%", "chain.%", "ops.%"]
FEW, MANY = 200, 4_000
# A round reads one of 256 parts of all markets; one in six has a withdrawal and positions.
PART_BLOCKS = 20 * (MANY - FEW) // 256

# Markets in all states, none of them stuck: each is long there, and the last thing that it waited
# for was an hour ago. Half of the active ones have an end time, which is ahead.
_MARKETS = """
INSERT INTO market.markets (market_id, address, creator, state, b_parameter, initial_liquidity,
    current_liquidity, shares_yes, shares_no, total_volume, created_at, approved_at, activated_at,
    resolution_proposed_at, resolved_at, finalized_at, final_outcome, dispute_initiated_at,
    accumulated_resolver_fees, accumulated_lp_fees, proposal_likes, proposal_dislikes,
    dispute_agree, dispute_disagree, was_disputed, price_yes, trades_count, as_of_slot,
    as_of_index, as_of_log, commitment, updated_at)
SELECT sha256(int4send(n)), sha256(int4send(-n)), sha256('creator'), n % 6, 1, 1, 1, 1, 1, 0,
    CASE WHEN n % 12 = 2 THEN now.s - 864000 ELSE now.s - 8640000 END,
    CASE n % 6 WHEN 1 THEN now.s - 3600 ELSE 0 END,
    CASE WHEN n % 12 = 2 THEN now.s - 3600 ELSE now.s - 8600000 END,
    CASE n % 6 WHEN 3 THEN now.s - 3600 ELSE 0 END, 0, 0, CASE n % 6 WHEN 5 THEN true END,
    CASE n % 6 WHEN 4 THEN now.s - 3600 ELSE 0 END, 0, 0, 0, 0, 0, 0, false, 500000000, 0, n, 0, 0,
    'finalized', now() - interval '1 day'
FROM generate_series(cast(:first AS int), cast(:last AS int)) AS n,
    (SELECT extract(epoch FROM now())::bigint AS s) AS now
"""
_HISTORY = (
    """
INSERT INTO community.market_drafts (market_id, creator, nonce, question_hash, document, question,
    category, ends_at, expires_at, matched_at)
SELECT market_id, creator, address, 'Qm', '', 'Is this a question?', 'crypto',
    now() + interval '1 day', now(), now()
FROM market.markets AS m WHERE state = 2 AND created_at < extract(epoch FROM now()) - 8000000
    AND NOT EXISTS (SELECT FROM community.market_drafts AS d WHERE d.market_id = m.market_id)
""",
    """
INSERT INTO market.withdrawals (signature, log_index, market_id, creator, amount, withdrawn_at,
    slot)
SELECT sha512(market_id), 0, market_id, creator, 1, created_at, 1 FROM market.markets
WHERE state = 5 ON CONFLICT DO NOTHING
""",
    """
INSERT INTO market.positions (market_id, "user", shares_yes, shares_no, total_invested,
    trades_count, first_trade_at, last_trade_at, has_claimed, claimed_amount, as_of_slot)
SELECT market_id, sha256(int4send(n)), 1, 0, 1, 1, 0, 0, true, 1, 1
FROM market.markets, generate_series(1, 3) AS n WHERE state = 5 ON CONFLICT DO NOTHING
""",
    """
INSERT INTO ops.intents (market_id, action, arguments, due_at, created_at)
SELECT market_id, 'approve_proposal', '{}', now() - interval '3 days', now() - interval '3 days'
FROM market.markets WHERE state > 0 ON CONFLICT DO NOTHING
""",
    """
INSERT INTO ops.attempts (intent_id, market_id, signature, transaction, blockhash,
    last_valid_block_height, status, epoch, fee, signed_at)
SELECT id, market_id, sha512(market_id), '', 'hash', 1, 'final', 1, 5000, created_at
FROM ops.intents ON CONFLICT DO NOTHING
""",
)


@pytest.fixture
def pool(database: str) -> Iterator[Engine]:
    made = role_engine(Role.PIPELINES, database, pool_size=1, max_overflow=0)
    yield made
    made.dispose()


@pytest.fixture
def owner(database: str) -> Iterator[Engine]:
    made = role_engine(Role.OWNER, database)
    yield made
    made.dispose()


def fill(conn: Connection, first: int, last: int) -> None:
    conn.execute(text(_MARKETS), {"first": first, "last": last})
    for statement in _HISTORY:
        conn.execute(text(statement))
    count_at_commit(conn)


def test_a_round_reads_as_much_among_many_healthy_markets_as_among_few(
    pool: Engine, owner: Engine
) -> None:
    """Counted, not timed: the blocks of all tables and indexes that a round touches."""
    settings = Settings(
        disk_used_percent=Threshold(998, 999), database_connections_percent=Threshold(998, 999)
    )

    def round_of(first: int, last: int) -> int:
        with owner.begin() as conn:
            fill(conn, first, last)
        with owner.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            conn.exec_driver_sql("VACUUM ANALYZE")
        # The first round looks at every market.
        run_monitor(pool, settings)
        before = touched_blocks(pool, TABLES)
        run_monitor(pool, settings)
        blocks = touched_blocks(pool, TABLES) - before
        with pool.connect() as conn:
            assert open_alerts(conn) == []
        return blocks

    few = round_of(1, FEW)
    many = round_of(FEW + 1, MANY)
    assert few > 0
    assert many <= few + PART_BLOCKS
