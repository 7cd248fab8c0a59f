"""Eight concurrent writers: deadlocks are retried, nothing is stored twice or lost."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine, func, select, text

from tests.fixtures.ledger import ingest_committed
from tests.ledger.conftest import differences
from tests.ledger.recorded_rpc import PROGRAM, SOL, Recorder, history
from zmart_pipelines.chain.transactions import RawTransaction
from zmart_pipelines.ledger.audit import rebuild
from zmart_pipelines.ledger.ingest.ingest_result import IngestResult
from zmart_pipelines.ledger.ingest.writer import ingest
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.store import stream
from zmart_pipelines.store.queries import health
from zmart_pipelines.store.queries.committed_changes import changes_since
from zmart_pipelines.store.tables import chain as tables

WRITERS = 8


def deal(chain: Recorder, dice: random.Random) -> list[list[RawTransaction]]:
    """Return every transaction three times, shuffled, in batches of up to twenty."""
    remaining = list(chain.transactions) * 3
    dice.shuffle(remaining)
    batches = []
    while remaining:
        size = dice.randint(1, 20)
        batches.append(remaining[:size])
        remaining = remaining[size:]
    return batches


def test_eight_concurrent_writers_of_one_history_store_the_same_rows(db: Engine) -> None:
    chain = history(7, 250)
    dice = random.Random(7)
    levels = [(dice.choice(list(Source)), dice.choice(list(Commitment)[1:])) for _ in range(10_000)]
    batches = list(zip(deal(chain, dice), levels, strict=False))

    def ingest_batch(item: tuple[list[RawTransaction], tuple[Source, Commitment]]) -> IngestResult:
        batch, (source, commitment) = item
        return ingest_committed(db, batch, source=source, commitment=commitment, program=PROGRAM)

    with ThreadPoolExecutor(WRITERS) as pool:
        results = list(pool.map(ingest_batch, batches))
    assert sum(one.new_transactions for one in results) == len(chain.transactions)
    assert differences(db, chain) == []
    with db.connect() as conn:
        positions = [frame.position for frame in stream.read_after(conn, 0, limit=1_000_000)]
        assert positions == list(range(1, stream.head(conn) + 1))
        assert rebuild.verify_projection(conn, PROGRAM) == []
        stored = conn.execute(select(func.count()).select_from(tables.transactions)).scalar_one()
        assert health.gaps(conn) == []
    assert stored == len(chain.transactions)


def test_concurrent_writers_of_one_market_lose_no_update(db: Engine) -> None:
    # One trade at a time, in the chain's order: nothing arrives late enough to cause a refold,
    # so a lost update would stay lost.
    chain = Recorder("hot")
    dice = random.Random(3)
    for number in range(4):
        chain.open(chain.create(number))
    begun = len(chain.transactions)
    for _ in range(240):
        chain.buy(dice.choice(chain.market_ids), dice.choice(chain.users), True, SOL // 10)
        chain.advance()
    ingest_committed(
        db,
        chain.transactions[:begun],
        source=Source.BACKFILL,
        commitment=Commitment.FINALIZED,
        program=PROGRAM,
    )

    def report(transaction: RawTransaction) -> None:
        ingest_committed(
            db,
            [transaction],
            source=Source.WEBHOOK,
            commitment=Commitment.REPORTED,
            program=PROGRAM,
        )

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(report, chain.transactions[begun:]))
    assert differences(db, chain) == []
    with db.connect() as conn:
        assert rebuild.verify_projection(conn, PROGRAM) == []


def test_observer_skips_no_row_that_commits_late(db: Engine) -> None:
    chain = history(8, 60)
    half = len(chain.transactions) // 2
    with db.connect() as slow:
        # The slow writer takes its transaction id first and commits last.
        slow.execute(text("SELECT pg_current_xact_id()"))
        ingest_committed(
            db,
            chain.transactions[:half],
            source=Source.BACKFILL,
            commitment=Commitment.FINALIZED,
            program=PROGRAM,
        )
        with db.connect() as conn:
            early = changes_since(conn, 0)
        ingest(
            slow,
            chain.transactions[half:],
            source=Source.BACKFILL,
            commitment=Commitment.FINALIZED,
            program=PROGRAM,
        )
        slow.commit()
    with db.connect() as conn:
        late = changes_since(conn, early.until)
    assert early.transactions + late.transactions == len(chain.transactions)
    assert early.transactions == 0  # nothing is certain while the older transaction is open
