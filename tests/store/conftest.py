"""A fresh database: an engine per role, and histories in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, Engine, insert

from tests.fixtures.ledger import ingest_committed
from tests.ledger.recorded_rpc import PROGRAM, SOL, Recorder, address, history, identity
from zmart_pipelines.ledger.model.provenance import Source
from zmart_pipelines.program import instructions as ix
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.store.engine import Role, act_as
from zmart_pipelines.store.tables import community

Engines = dict[Role, Engine]


@pytest.fixture
def engines(database: str) -> Iterator[Engines]:
    """One engine per role; a connection's statements are that role's."""
    with ExitStack() as stack:
        made = {role: role_engine(role, database, pool_size=10) for role in Role}
        for one in made.values():
            stack.callback(one.dispose)
        yield made


CATEGORIES = ("crypto", "sports", "crypto", "other")


def ingest_all(engines: Engines, chain: Recorder) -> None:
    for start in range(0, len(chain.transactions), 200):
        ingest_committed(
            engines[Role.INGEST],
            chain.transactions[start : start + 200],
            source=Source.FINALIZED_WINDOW,
            commitment="finalized",
            program=PROGRAM,
        )


@pytest.fixture
def chain(engines: Engines) -> Recorder:
    """A random history in the database."""
    chain = history(31, 400)
    ingest_all(engines, chain)
    return chain


@pytest.fixture
def conn(engines: Engines) -> Iterator[Connection]:
    """A connection of the API."""
    with engines[Role.API].connect() as conn:
        yield conn


@pytest.fixture
def lively(engines: Engines) -> Recorder:
    """Four markets with questions; the first is traded, resolved, finalized and claimed."""
    chain = Recorder()
    with engines[Role.API].begin() as conn:
        act_as(conn, bytes(chain.users[0]))
        for number, category in enumerate(CATEGORIES):
            conn.execute(
                insert(community.market_drafts).values(
                    market_id=identity(number),
                    creator=bytes(chain.users[0]),
                    nonce=bytes([number]),
                    question_hash=("Qm" + identity(number).hex())[:46],
                    document=b"{}",
                    question=f"Does 100% of number_{number} hold?",
                    description="Plain words" if number == 2 else "",
                    category=category,
                    tags=["a", "b"],
                    ends_at=datetime(2030, 1, 1, tzinfo=UTC),
                    expires_at=datetime(2030, 1, 1, tzinfo=UTC),
                )
            )
    for number in range(len(CATEGORIES)):
        chain.create(number)
    for number in (0, 1, 2):
        chain.open(identity(number))
    for number, user in enumerate(chain.users[1:4]):
        chain.buy(identity(0), user, number != 1, SOL)
        chain.advance()
    chain.buy(identity(1), chain.users[1], True, 2 * SOL)
    chain.advance()
    market = address(identity(0))
    chain.send(
        ix.resolve_market(
            PROGRAM,
            resolver=chain.users[5],
            market=market,
            outcome=True,
            evidence_hash=b"Qm" + b"e" * 44,
        )
    )
    chain.advance(1000)
    chain.send(ix.finalize_market(PROGRAM, backend_authority=chain.backend, market=market))
    chain.advance()
    chain.send(
        ix.claim_winnings(PROGRAM, user=chain.users[1], market=market, resolver=chain.users[5])
    )
    chain.advance()
    chain.send(ix.withdraw_liquidity(PROGRAM, creator=chain.users[0], market=market))
    assert [one.error for one in chain.transactions if one.error is not None] == []
    ingest_all(engines, chain)
    return chain
