"""A ledger in a fresh database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
from sqlalchemy import Engine

from tests.fixtures.ledger import ingest_committed
from tests.fixtures.localnet import Localnet
from tests.ledger.onchain import Stage
from tests.ledger.recorded_rpc import PROGRAM, Recorder, address
from zmart_pipelines.chain.transactions import RawTransaction
from zmart_pipelines.ledger.ingest.ingest_result import IngestResult
from zmart_pipelines.ledger.model import account_comparison
from zmart_pipelines.ledger.model.account_comparison import FieldDifference
from zmart_pipelines.ledger.model.projection import state_hash
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.ledger.rows import market_rows
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role

Feed = Callable[..., IngestResult]


@pytest.fixture
def db(database: str) -> Iterator[Engine]:
    """The database as the ingesting role sees it."""
    made = role_engine(Role.INGEST, database, pool_size=10)
    yield made
    made.dispose()


@pytest.fixture
def feed(db: Engine) -> Feed:
    """Ingests transactions: ``feed(transactions, commitment="confirmed", source=…)``."""

    def ingest_batch(
        transactions: Sequence[RawTransaction],
        commitment: str = "finalized",
        source: Source = Source.BACKFILL,
    ) -> IngestResult:
        return ingest_committed(
            db, transactions, source=source, commitment=Commitment(commitment), program=PROGRAM
        )

    return ingest_batch


def hashes(db: Engine, chain: Recorder) -> dict[bytes, str]:
    """The state hash of every market as stored."""
    with db.connect() as conn:
        stored = market_rows.load_projections(conn, chain.market_ids)
    return {market_id: state_hash(projection) for market_id, projection in stored.items()}


def differences(db: Engine, chain: Recorder) -> list[FieldDifference]:
    """Every field in which the stored projection and the chain's accounts differ."""
    found = []
    with db.connect() as conn:
        stored = market_rows.load_projections(conn, chain.market_ids)
    accounts = chain.markets()
    assert set(stored) == set(accounts)
    for market_id, account in accounts.items():
        projection = stored[market_id]
        found += account_comparison.compare_market(market_id, projection.market, account)
        held = chain.positions(market_id)
        for user in held.keys() | projection.positions.keys():
            found += account_comparison.compare_position(
                market_id,
                user,
                projection.positions.get(user),
                held.get(user),
                bytes(address(market_id)),
            )
    return found


@pytest.fixture
def stage(localnet: Localnet) -> Stage:
    return Stage(localnet)


@pytest.fixture
def settings(redis_url: str) -> Settings:
    return Settings.model_validate({"redis_url": redis_url, "poll_page_size": 12})
