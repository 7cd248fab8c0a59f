"""What a round of the monitor costs, and how long the snapshots of discussions take.

The monitor asks a local chain, which does not know the databases' markets: balances are asked for
and are not there, in as many calls. The first round finds everything, later ones find it again.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import psycopg
from sqlalchemy import Engine

from benchmarks import many_markets
from benchmarks.database import Clock, Databases, Spent, backend_of, databases
from benchmarks.rows import Row
from tests.fixtures.localnet import Localnet
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.ipfs.pin_store import LocalPinStore
from zmart_pipelines.monitoring.alerts import open_alerts
from zmart_pipelines.monitoring.monitor import ROUND_SECONDS, run_monitor
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.snapshots.taking import pin_documents, take_snapshots
from zmart_pipelines.store.engine import Role

# Within five minutes everything is found, at a cost that grows far slower than the markets.
FOUND_SECONDS: Final = 300.0
GOAL_MONITOR: Final = 2.0
FEW, MANY = 1_000, 10_000
GOAL_SNAPSHOTS: Final = 10.0
SNAPSHOT_MARKETS: Final = 100
SNAPSHOT_MANY: Final = 1_000
COMMENTS: Final = 50
_COMMENTS: Final = """
INSERT INTO community.users (wallet)
    SELECT decode(md5(n::text) || md5(n::text), 'hex') FROM generate_series(1, 50) AS n;
INSERT INTO community.discussions (market_id, wallet, content, created_at)
    SELECT m.market_id, decode(md5(n::text) || md5(n::text), 'hex'),
        'Comment ' || n || ' ' || repeat('about what the sources say ', 8),
        now() - interval '2 days'
    FROM (SELECT market_id FROM market.markets ORDER BY market_id LIMIT {markets}) AS m,
        generate_series(1, {comments}) AS n;
"""


# What markets leave behind: positions, the withdrawal of the liquidity where no one won, claims
# that are owed where someone did, and transactions of ours.
_HISTORY: Final = """
INSERT INTO market.positions (market_id, "user", shares_yes, shares_no, total_invested,
    trades_count, first_trade_at, last_trade_at, has_claimed, claimed_amount, as_of_slot)
SELECT market_id, sha256(market_id || int4send(n)), 0, 1000000, 1000000, 1, created_at,
    created_at, false, 0, 1
FROM market.markets AS m, generate_series(1, 5) AS n WHERE state >= 2;
INSERT INTO market.withdrawals (signature, log_index, market_id, creator, amount, withdrawn_at,
    slot)
SELECT sha512(market_id), 4, market_id, creator, 1, created_at + 172800, 1
FROM market.markets WHERE state = 5 AND final_outcome;
INSERT INTO ops.intents (market_id, action, arguments, status, due_at, created_at, updated_at)
SELECT market_id, action, '{}', 'final', made, made, made
FROM (SELECT market_id, state, to_timestamp(created_at) AS made FROM market.markets) AS m,
    unnest(array['aggregate_proposal_votes', 'approve_proposal', 'finalize_market']) AS action
WHERE state > 0;
INSERT INTO ops.attempts (intent_id, market_id, signature, transaction, blockhash,
    last_valid_block_height, status, epoch, fee, signed_at)
SELECT id, market_id, sha512(int8send(id)), '', 'hash', 1, 'final', 1, 5000, created_at
FROM ops.intents;
"""


class _Round(NamedTuple):
    first: Spent
    later: list[Spent]
    alerts: int


def monitor(quick: bool) -> Row:
    """Measure rounds of the monitor among 10,000 markets against rounds among 1,000."""
    rounds = 3 if quick else 15
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zmart-monitor-")))
        chain = Localnet(folder / "localnet", "--manual-clock", "--no-webhook")
        stack.callback(chain.close)
        rpc = stack.enter_context(RpcClient(chain.rpc_url, 10))
        cluster = stack.enter_context(databases(durable=True))
        found = {
            number: _rounds(cluster, number, folder / str(number), rpc, rounds)
            for number in (FEW, MANY)
        }
    few, many = (statistics.mean(one.cpu for one in found[n].later) for n in (FEW, MANY))
    walls = [statistics.median(one.wall for one in found[n].later) for n in (FEW, MANY)]
    ratio = many / few
    seconds = ROUND_SECONDS + found[MANY].first.wall
    return Row(
        "monitor",
        round(ratio, 2),
        "times the processor time",
        GOAL_MONITOR,
        f"a round among {FEW:,} markets: {few * 1e3:.0f} ms (wall {walls[0] * 1e3:.0f}), among"
        f" {MANY:,}: {many * 1e3:.0f} ms (wall {walls[1] * 1e3:.0f}); what is wrong is found within"
        f" {seconds:.0f} s ({ROUND_SECONDS} s between two rounds); {found[MANY].alerts} alerts;"
        f" load {os.getloadavg()[0]:.1f}",
        ratio <= GOAL_MONITOR and seconds <= FOUND_SECONDS,
    )


def _rounds(cluster: Databases, markets: int, folder: Path, rpc: RpcClient, rounds: int) -> _Round:
    with cluster.fresh() as url, _pipelines(url) as engine:
        many_markets.fill(cluster.superuser(url), markets)
        with psycopg.connect(cluster.superuser(url), autocommit=True) as conn:
            conn.execute(_HISTORY.encode())
            conn.execute("VACUUM ANALYZE")
        settings = Settings(zmart_state=folder)
        pins = LocalPinStore(folder / "ipfs")
        spent = []
        for _ in range(rounds + 2):
            clock = Clock(backend_of(engine))
            run_monitor(engine, settings, rpc=rpc, pins=pins)
            spent.append(clock.read())
        with engine.connect() as conn:
            alerts = len(open_alerts(conn))
    if not alerts:
        raise AssertionError("no alert was raised, although markets are stuck")
    return _Round(spent[0], spent[2:], alerts)


def snapshots(quick: bool) -> Row:
    """Measure one run over 100 discussions of 50 comments each, and one over 1,000."""
    many = SNAPSHOT_MANY // 5 if quick else SNAPSHOT_MANY
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zmart-snapshots-")))
        cluster = stack.enter_context(databases(durable=True))
        total, slowest = _snapshots(cluster, SNAPSHOT_MARKETS, folder / "few")
        longer, _ = _snapshots(cluster, many, folder / "many")
    return Row(
        "snapshots",
        round(slowest, 3),
        "s for the slowest market",
        GOAL_SNAPSHOTS,
        f"{SNAPSHOT_MARKETS} markets with {COMMENTS} comments each in {total:.1f} s, {many:,} in"
        f" {longer:.1f} s; built, stored and pinned in the local store;"
        f" load {os.getloadavg()[0]:.1f}",
        slowest <= GOAL_SNAPSHOTS,
    )


def _snapshots(cluster: Databases, markets: int, folder: Path) -> tuple[float, float]:
    """Return the seconds of a run, and those of its slowest market."""
    with cluster.fresh() as url, _pipelines(url) as engine:
        many_markets.fill(cluster.superuser(url), markets)
        with psycopg.connect(cluster.superuser(url), autocommit=True) as conn:
            conn.execute(_COMMENTS.format(markets=markets, comments=COMMENTS).encode())
        now = datetime.now(UTC)
        started = time.perf_counter()
        taken = list(take_snapshots(engine, now.date() - timedelta(days=1), now))
        pinned = list(pin_documents(engine, LocalPinStore(folder)))
        seconds = time.perf_counter() - started
    if len(taken) != markets or any(one.error is not None for one in pinned):
        raise AssertionError(f"{len(taken)} snapshots of {markets}, {len(pinned)} pins")
    pin = (seconds - sum(one.seconds for one in taken)) / len(pinned)
    return seconds, max(one.seconds + pin * one.parts for one in taken)


@contextmanager
def _pipelines(url: str) -> Iterator[Engine]:
    made = role_engine(Role.PIPELINES, url, pool_size=1, max_overflow=0, statement_timeout=600)
    try:
        yield made
    finally:
        made.dispose()
