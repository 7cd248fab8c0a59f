"""The common case of ingest writes what the general one writes, and knows when it is none."""

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
from zmart_pipelines.store.engine import Role, engine
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
# When, and in which transaction of the database: never the same.
MOMENTS = {"id", "first_seen_at", "finalized_at", "xid", "opened_at", "retry_at", "updated_at"}


@pytest.fixture
def other(postgres_server: PostgresServer, migrated_template: str) -> Iterator[Engine]:
    """A second ledger."""
    with psycopg.connect(postgres_server.url("postgres", SUPERUSER), autocommit=True) as admin:
        postgres_server.create_database(admin, "other_ledger", template=migrated_template)
        made = engine(Role.INGEST, postgres_server.url("other_ledger"))
        yield made
        made.dispose()
        admin.execute(
            sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier("other_ledger"))
        )


def contents(db: Engine) -> list[list[tuple[Any, ...]]]:
    """Every row of the ledger, its projection and the stream, without moments."""
    found = []
    for table in TABLES:
        apart = MOMENTS | ({"created_at"} if table is ops.stream else set())
        columns = [column for column in table.columns if column.name not in apart]
        with db.connect() as conn:
            rows = conn.execute(select(*columns).order_by(*table.primary_key))
            found.append([tuple(row) for row in rows])
    return found


def take(db: Engine, transactions: list[RawTransaction], level: str = "confirmed") -> IngestResult:
    return ingest_committed(
        db,
        transactions,
        source=Source.CONFIRMED_POLL,
        commitment=Commitment(level),
        program=PROGRAM,
    )


@pytest.fixture
def common(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each call so far, whether it was the common case."""
    found: list[bool] = []
    real = fast_path.ingest_in_order

    def watched(*arguments: Any) -> IngestResult | None:
        result = real(*arguments)
        found.append(result is not None)
        return result

    monkeypatch.setattr(fast_path, "ingest_in_order", watched)
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_both_write_the_same(
    db: Engine, other: Engine, common: list[bool], monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chain = history(seed, 200)
    dice = random.Random(seed)
    left = list(chain.told)
    batches = []
    while left:
        size = dice.choice((1, 1, 5, 20))
        batches.append(left[:size])
        left = left[size:]
    results = [take(db, batch) for batch in batches]
    assert sum(common) > len(batches) // 4
    assert not all(common)  # the configuration's changes are not
    monkeypatch.setattr(fast_path, "ingest_in_order", lambda *_: None)
    assert [take(other, batch) for batch in batches] == results
    assert contents(other) == contents(db)
    assert differences(db, chain) == []


def active() -> tuple[Recorder, bytes]:
    chain = Recorder()
    market_id = chain.create(1)
    chain.open(market_id)
    return chain, market_id


def test_what_is_there_what_is_late_and_what_is_unknown_is_not_the_common_case(
    db: Engine, common: list[bool]
) -> None:
    chain, market_id = active()
    start = len(chain.told)
    for user in chain.users[1:5]:
        chain.buy(market_id, user)
        chain.pass_()
    first, second, third, fourth = chain.told[start:]
    take(db, [first])  # of a market that nothing is known of
    take(db, chain.told[:start])  # holds the configuration's events
    take(db, [third])
    take(db, [second])  # belongs before the third
    take(db, [third, fourth])  # one of them is there
    take(db, [fourth], "finalized")  # only climbs
    assert common == [False, False, True, False, False, False]
    assert differences(db, chain) == []


def test_events_that_came_before_their_market_are_not_forgotten(
    db: Engine, common: list[bool]
) -> None:
    chain, market_id = active()
    bought = chain.buy(market_id, chain.users[1])
    take(db, chain.told[:2])  # the configuration
    take(db, [bought])
    take(db, chain.told[2:-1])
    assert common == [False, False, False]
    assert differences(db, chain) == []


def test_two_who_store_the_same_failure_at_once(
    db: Engine, common: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    chain, market_id = active()
    take(db, chain.told)
    chain.buy(market_id, chain.users[1], cost=1)  # too small: refused, so no market is locked
    (failed,) = [one for one in chain.told if one.error is not None]
    real, tries = fast_path._lock_and_load, []

    def look(*arguments: Any) -> Any:
        known = real(*arguments)
        tries.append(known is not None)
        if len(tries) == 1:
            monkeypatch.setattr(fast_path, "_lock_and_load", lambda *_: None)
            assert take(db, [failed]).new_transactions == 1
            monkeypatch.setattr(fast_path, "_lock_and_load", look)
        return known

    monkeypatch.setattr(fast_path, "_lock_and_load", look)
    assert take(db, [failed]).new_transactions == 0
    assert tries == [True, False]  # overtaken, then found there
