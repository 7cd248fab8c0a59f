"""Ten thousand markets come back from the chain alone: over forks, and from pruned history.

``zmart restore --from-chain`` brings them back, as a process. What it says, and what it refuses, is
tested with fewer (``tests/backup/test_restore_from_chain.py``).
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair
from solders.signature import Signature
from sqlalchemy import func, select

from tests.backup.restore_command import RestoreCommand
from tests.chain.endpoint import Endpoint, Reply, Script, forward
from tests.fixtures.localnet import StartLocalnet
from tests.fixtures.postgres import fresh_database
from tests.ledger.onchain import Stage, assert_ledger_matches_chain, listed, stored
from tests.ledger.recorded_rpc import PROGRAM, SOL, B, identity
from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.transaction_builder import build_transaction
from zmart_pipelines.commands.restore import LOST
from zmart_pipelines.ledger.audit.reconcile import compare_accounts
from zmart_pipelines.ledger.readers import coverage
from zmart_pipelines.program import instructions as ix
from zmart_pipelines.runtime.postgres import PostgresServer
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables import market as tables

MARKETS = 10_000
PER_SLOT = 50
# After so many slots the newest ones are forked away.
FORK_EVERY = 10

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]


@pytest.fixture
def stage(start_localnet: StartLocalnet) -> Iterator[Stage]:
    made = Stage(start_localnet("--finality-depth", "40"), blockhashes="finalized")
    yield made
    made.rpc.close()


def propose(stage: Stage, creator: Keypair, numbers: range, dice: random.Random) -> int:
    """Propose markets, many in a slot; return how many creations forks have dropped.

    What a fork drops is not proposed again: the market is not there.
    """
    dropped = 0
    recent: list[tuple[str, bytes]] = []
    blockhash = stage.rpc.latest_blockhash("finalized").hash
    for slot, start in enumerate(range(numbers.start, numbers.stop, PER_SLOT), 1):
        for number in range(start, min(start + PER_SLOT, numbers.stop)):
            market_id = identity(number)
            creation = ix.create_market(
                stage.chain.program,
                creator=creator.pubkey(),
                market_id=market_id,
                b_parameter=B,
                initial_liquidity=SOL // 10,
                question_hash=b"Qm" + b"q" * 44,
            )
            signed = build_transaction(creator.pubkey(), [creation], blockhash, [creator])
            sent = stage.rpc.send(signed, preflight_commitment="processed")
            recent.append((str(Signature(sent)), market_id))
            stage.market_ids.append(market_id)
        stage.step()
        blockhash = stage.rpc.latest_blockhash("finalized").hash
        if slot % FORK_EVERY == 0:
            depth = dice.randrange(1, 4)
            kept = [one for one, _ in recent if dice.random() < 0.9]
            lost = set(stage.chain.control.fork(depth, kept))
            gone = {market_id for one, market_id in recent if one in lost}
            stage.market_ids = [one for one in stage.market_ids if one not in gone]
            dropped += len(gone)
            # The new branch grows past the old one.
            stage.chain.control.advance(depth + 1)
            recent.clear()
    return dropped


def pruned_before(url: str, slot: int) -> Script:
    """A node that has pruned its history before this slot; accounts it has all."""
    node = forward(url)

    def script(request: dict[str, Any]) -> Reply:
        if request["method"] == "getFirstAvailableBlock":
            body = {"jsonrpc": "2.0", "id": request["id"], "result": slot}
            return Reply(json.dumps(body).encode())
        answer = node(request)
        if request["method"] == "getSignaturesForAddress":
            body = json.loads(answer.body)
            body["result"] = [one for one in body["result"] if one["slot"] >= slot]
            return Reply(json.dumps(body).encode())
        return answer

    return script


@pytest.fixture
def empty_database(postgres_server: PostgresServer) -> Iterator[str]:
    """URL of a database in which nothing was ever created."""
    with fresh_database(postgres_server, "template0") as url:
        yield url


def test_ten_thousand_markets_come_back_from_the_chain_alone(
    stage: Stage, empty_database: str, redis_url: str, tmp_path: Path
) -> None:
    creator = Keypair()
    stage.chain.result("requestAirdrop", str(creator.pubkey()), 2 * MARKETS * SOL)
    stage.chain.control.finalize()
    dice = random.Random(7)
    old = propose(stage, creator, range(1, MARKETS // 10), dice)
    old_markets = set(stage.market_ids)
    stage.chain.control.finalize()
    boundary = stage.rpc.slot("finalized") + 1
    stage.chain.control.advance()
    dropped = old + propose(stage, creator, range(MARKETS // 10, MARKETS + 1), dice)
    stage.chain.control.finalize()
    assert dropped > 0
    assert len(stage.market_ids) == MARKETS - dropped
    command = RestoreCommand(empty_database, stage.chain.rpc_url, redis_url, tmp_path / "state")
    db = role_engine(Role.INGEST, empty_database, pool_size=2)

    # A node without the oldest history: what is missing is said, and nothing is made up.
    node = Endpoint()
    node.answer(pruned_before(stage.chain.rpc_url, boundary))
    pruned = command.from_chain(rpc_url=node.url)
    node.close()
    assert pruned.returncode == 1, pruned.stdout + pruned.stderr
    assert f"not covered: 0 to {boundary - 1}" in pruned.stdout, pruned.stdout
    assert "every check passes" not in pruned.stdout
    with db.connect() as conn:
        found = set(conn.execute(select(tables.markets.c.market_id)).scalars())
        uncovered = coverage.uncovered_within(conn, 0, boundary)
    assert found == set(stage.market_ids) - old_markets
    assert uncovered
    with RpcClient(stage.chain.rpc_url, 30.0) as rpc:
        report = compare_accounts(db, AccountReader(rpc, PROGRAM))
    assert {one.difference.market_id for one in report.differences} == old_markets

    # One that has all of it.
    assert "the database is not empty" in command.from_chain().stdout
    done = command.from_chain("--replace", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert LOST in done.stdout
    sys.stdout.write(f"\n{MARKETS - dropped} markets: {done.stdout.splitlines()[-1]}\n")
    assert stored(db, "finalized") == listed(stage.chain)
    assert_ledger_matches_chain(db, stage)
    with db.connect() as conn:
        assert coverage.uncovered_within(conn, 0, boundary) == []
        number = conn.execute(select(func.count()).select_from(tables.markets)).scalar_one()
    assert number == MARKETS - dropped
    db.dispose()
