"""``zmart restore --from-chain``: everything of the chain comes back, and what does not is said."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import psycopg
import pytest
from sqlalchemy import Engine, func, select

from tests.backup.conftest import USERS_TABLES
from tests.backup.restore_command import RestoreCommand
from tests.fixtures.localnet import StartLocalnet
from tests.fixtures.postgres import fresh_database
from tests.ledger.onchain import Stage, assert_ledger_matches_chain, listed, stored
from tests.store.secured_tables import SECURED
from zmart_pipelines.commands.restore import LOST
from zmart_pipelines.runtime.postgres import SUPERUSER, PostgresServer
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables import metadata

MARKETS = 6

# What the command says of the tables whose rows do not come back.
NAMED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "ballots and tallies": (*("voting.ballots", "voting.tallies", "voting.counted_ballots"),),
        "comments, votes on comments, reports, and snapshots": (
            *("community.discussions", "community.former_texts", "community.comment_votes"),
            *("community.comment_reports", "community.ipfs_anchors"),
        ),
        "users, drafts with the questions of markets, uploaded files, sessions and service keys": (
            *("community.users", "community.market_drafts", "community.documents"),
            *("accounts.sessions", "accounts.refresh_tokens", "ops.api_keys"),
        ),
        "intents and attempts": ("ops.intents", "ops.attempts"),
        "alerts with their messages and silences, operators' orders and switches, the audit log": (
            *("ops.alerts", "ops.alert_messages", "ops.alert_silences", "ops.orders"),
            *("ops.switches", "ops.audit"),
        ),
        "webhook deliveries, and relayed transactions": (
            *("chain.deliveries", "ops.relayed_transactions"),
        ),
        "reports of runs, reconciliations, repairs, backups and table sizes, and which code": (
            *("ops.job_runs", "ops.reconciliations", "ops.repairs", "ops.backups"),
            *("ops.program_code", "ops.table_sizes"),
        ),
        "frames of the live updates": ("ops.stream",),
    }
)
# Filled by the restore and its checks, or from the chain's tables as soon as the system runs.
MADE_AGAIN: Final = frozenset(
    {
        *(name for name in metadata.tables if name.startswith("market.")),
        *("chain.transactions", "chain.events", "chain.coverage", "chain.cursors", "chain.gaps"),
        *("chain.hints", "ops.differences", "ops.heartbeats", "voting.change_queue"),
        "voting.scans",
    }
)
# Of the moment: they end within seconds or a day, and nothing is lost with them.
OF_THE_MOMENT: Final = frozenset(
    {
        *("accounts.nonces", "accounts.realtime_tickets", "accounts.session_writes"),
        *("community.signed_requests", "community.idempotency_keys"),
        *("ops.api_counts", "ops.breakers", "ops.leases", "ops.run_claims"),
    }
)
# Rows of the restore itself: its entry in the audit log, the frames of what the checks change.
OF_THE_RESTORE: Final = frozenset({"ops.audit", "ops.stream", "ops.alerts", "ops.reconciliations"})


def test_command_names_every_table_that_does_not_come_back() -> None:
    named = [table for tables in NAMED.values() for table in tables]
    assert all(phrase in LOST for phrase in NAMED)
    assert len(LOST.splitlines()) == 1 + len(NAMED), "each line is one of the phrases"
    assert {*named, *MADE_AGAIN, *OF_THE_MOMENT} == set(metadata.tables)
    assert len(named) + len(MADE_AGAIN) + len(OF_THE_MOMENT) == len(metadata.tables)


@pytest.fixture
def empty_database(postgres_server: PostgresServer) -> Iterator[str]:
    """URL of a database in which nothing was ever created."""
    with fresh_database(postgres_server, "template0") as url:
        yield url


@pytest.fixture
def stage(start_localnet: StartLocalnet) -> Iterator[Stage]:
    """A chain with markets and trades, of which forks have dropped some."""
    made = Stage(start_localnet("--finality-depth", "20"), blockhashes="finalized")
    dice = random.Random(11)
    for number in range(1, MARKETS + 1):
        made.open(made.create(number))
    made.chain.control.finalize()
    for _ in range(3):
        made.trade_at_random(dice, 10)
        assert made.chain.control.fork(3, []), "trades are dropped"
        made.chain.control.advance(4)
    made.trade_at_random(dice, 10)
    made.chain.control.finalize()
    yield made
    made.rpc.close()


@pytest.fixture
def ledger(empty_database: str) -> Iterator[Engine]:
    pool = role_engine(Role.INGEST, empty_database, pool_size=2)
    yield pool
    pool.dispose()


def counts(server: PostgresServer, database: str) -> dict[str, int]:
    """The number of rows of each table."""
    name = database.rsplit("/", 1)[1]
    with psycopg.connect(server.url(name, SUPERUSER)) as conn:
        return {
            str(table): conn.execute(
                str(select(func.count()).select_from(table)).encode()
            ).fetchall()[0][0]
            for table in metadata.tables.values()
        }


def test_everything_of_the_chain_comes_back_and_nothing_else(
    empty_database: str,
    postgres_server: PostgresServer,
    stage: Stage,
    ledger: Engine,
    redis_url: str,
    tmp_path: Path,
) -> None:
    command = RestoreCommand(empty_database, stage.chain.rpc_url, redis_url, tmp_path / "state")
    done = command.from_chain()
    assert done.returncode == 0, done.stdout + done.stderr
    assert LOST in done.stdout
    assert "restored, every check passes" in done.stdout
    # It ends with the comparison with the chain and every other check.
    assert "market/state:matches_onchain_accounts" in done.stdout
    assert "market/state:matches_ledger_fold" in done.stdout
    assert command.check().returncode == 0
    assert stored(ledger, "finalized") == listed(stage.chain)
    assert_ledger_matches_chain(ledger, stage)

    # Without --replace the command deletes no row that originated here.
    name = empty_database.rsplit("/", 1)[1]
    with psycopg.connect(postgres_server.url(name, SUPERUSER)) as conn:
        for table in USERS_TABLES:
            for statement in (*SECURED[table].referenced, *SECURED[table].rows):
                conn.execute(statement.encode())
    before = counts(postgres_server, empty_database)
    assert all(before[table] for table in USERS_TABLES)
    refused = command.from_chain()
    assert refused.returncode == 1
    assert "the database is not empty" in refused.stdout + refused.stderr
    assert LOST not in refused.stdout
    assert counts(postgres_server, empty_database) == before

    emptied = command.from_chain("--replace", "--yes")
    assert emptied.returncode == 0, emptied.stdout + emptied.stderr
    after = counts(postgres_server, empty_database)
    assert {table for table, number in after.items() if number} <= MADE_AGAIN | OF_THE_RESTORE
    assert after["market.trades"] == before["market.trades"] > 0
    assert_ledger_matches_chain(ledger, stage)
