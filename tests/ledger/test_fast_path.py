"""Fast path and general path of ingest write equal rows; the fast path declines other cases."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Engine, select

from tests.fixtures.ledger import ingest_committed
from tests.ledger.conftest import differences
from tests.ledger.recorded_rpc import PROGRAM, Recorder, history
from zmart_pipelines.chain.transactions import RawTransaction
from zmart_pipelines.ledger.ingest import fast_path
from zmart_pipelines.ledger.ingest.ingest_result import IngestResult
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.runtime.postgres import SUPERUSER, PostgresServer
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables import chain as tables
from zmart_pipelines.store.tables import market, ops

TABLES = (
    tables.transactions,
    tables.events,
    tables.gaps,
    market.config_history,
    market.markets,
    market.positions,
    market.trades,
    market.claims,
    market.chain_votes,
    market.withdrawals,
    ops.stream,
)
# Columns that hold a time or a database transaction, which always differ.
MOMENTS = {
    "id",
    "first_seen_at",
    "confirmed_at",
    "finalized_at",
    "xid",
    "opened_at",
    "retry_at",
    "updated_at",
    "refolded_at",
}


@pytest.fixture
def other(postgres_server: PostgresServer, migrated_template: str) -> Iterator[Engine]:
    """A second ledger."""
    with psycopg.connect(postgres_server.url("postgres", SUPERUSER), autocommit=True) as admin:
        postgres_server.create_database(admin, "other_ledger", template=migrated_template)
        made = role_engine(Role.INGEST, postgres_server.url("other_ledger"))
        yield made
        made.dispose()
        admin.execute(
            sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier("other_ledger"))
        )


def contents(db: Engine) -> list[list[tuple[Any, ...]]]:
    """Return every row of the ledger, its projection and the stream, without ``MOMENTS``."""
    found = []
    for table in TABLES:
        apart = MOMENTS | ({"created_at"} if table is ops.stream else set())
        columns = [column for column in table.columns if column.name not in apart]
        with db.connect() as conn:
            rows = conn.execute(select(*columns).order_by(*table.primary_key))
            found.append([tuple(row) for row in rows])
    return found


def ingest_batch(
    db: Engine, transactions: list[RawTransaction], level: str = "confirmed"
) -> IngestResult:
    return ingest_committed(
        db,
        transactions,
        source=Source.CONFIRMED_POLL,
        commitment=Commitment(level),
        program=PROGRAM,
    )


@pytest.fixture
def fast_path_calls(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each call so far, whether the fast path ingested the batch."""
    found: list[bool] = []
    real = fast_path.ingest_in_order

    def watched(*arguments: Any) -> IngestResult | None:
        result = real(*arguments)
        found.append(result is not None)
        return result

    monkeypatch.setattr(fast_path, "ingest_in_order", watched)
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_both_paths_write_equal_rows(
    db: Engine,
    other: Engine,
    fast_path_calls: list[bool],
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    chain = history(seed, 200)
    dice = random.Random(seed)
    left = list(chain.transactions)
    batches = []
    while left:
        size = dice.choice((1, 1, 5, 20))
        batches.append(left[:size])
        left = left[size:]
    results = [ingest_batch(db, batch) for batch in batches]
    assert sum(fast_path_calls) > len(batches) // 4
    assert not all(fast_path_calls)  # changes of the configuration take the general path
    monkeypatch.setattr(fast_path, "ingest_in_order", lambda *_: None)
    assert [ingest_batch(other, batch) for batch in batches] == results
    assert contents(other) == contents(db)
    assert differences(db, chain) == []


def active() -> tuple[Recorder, bytes]:
    chain = Recorder()
    market_id = chain.create(1)
    chain.open(market_id)
    return chain, market_id


def test_known_late_and_unplaced_events_take_the_general_path(
    db: Engine, fast_path_calls: list[bool]
) -> None:
    chain, market_id = active()
    start = len(chain.transactions)
    for user in chain.users[1:5]:
        chain.buy(market_id, user)
        chain.advance()
    first, second, third, fourth = chain.transactions[start:]
    ingest_batch(db, [first])  # its market is unknown
    ingest_batch(db, chain.transactions[:start])  # contains events of the configuration
    ingest_batch(db, [third])
    ingest_batch(db, [second])  # belongs before the third
    ingest_batch(db, [third, fourth])  # one of them is stored
    ingest_batch(db, [fourth], "finalized")  # only promotes
    assert fast_path_calls == [False, False, True, False, False, False]
    assert differences(db, chain) == []


def test_events_stored_before_their_market_are_projected_with_it(
    db: Engine, fast_path_calls: list[bool]
) -> None:
    chain, market_id = active()
    bought = chain.buy(market_id, chain.users[1])
    ingest_batch(db, chain.transactions[:2])  # the configuration
    ingest_batch(db, [bought])
    ingest_batch(db, chain.transactions[2:-1])
    assert fast_path_calls == [False, False, False]
    assert differences(db, chain) == []


def test_concurrent_writers_of_one_failed_transaction_store_it_once(
    db: Engine, fast_path_calls: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    chain, market_id = active()
    ingest_batch(db, chain.transactions)
    chain.buy(market_id, chain.users[1], cost=1)  # too small: refused, so no market is locked
    (failed,) = [one for one in chain.transactions if one.error is not None]
    real, tries = fast_path._lock_and_load, []

    def load_and_store_meanwhile(*arguments: Any) -> Any:
        known = real(*arguments)
        tries.append(known is not None)
        if len(tries) == 1:
            monkeypatch.setattr(fast_path, "_lock_and_load", lambda *_: None)
            assert ingest_batch(db, [failed]).new_transactions == 1
            monkeypatch.setattr(fast_path, "_lock_and_load", load_and_store_meanwhile)
        return known

    monkeypatch.setattr(fast_path, "_lock_and_load", load_and_store_meanwhile)
    assert ingest_batch(db, [failed]).new_transactions == 0
    assert tries == [True, False]  # a collision, then found stored
