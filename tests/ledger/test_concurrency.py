"""Eight writers at once: no deadlock is left, nothing is stored twice, nothing is lost."""

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
from zmart_pipelines.store.queries.committed_changes import observe
from zmart_pipelines.store.tables import chain as tables

WRITERS = 8


def deal(chain: Recorder, dice: random.Random) -> list[list[RawTransaction]]:
    """Everything three times, shuffled, in hands of up to twenty."""
    told = list(chain.told) * 3
    dice.shuffle(told)
    hands = []
    while told:
        size = dice.randint(1, 20)
        hands.append(told[:size])
        told = told[size:]
    return hands


def test_eight_writers_of_the_same_history_end_in_the_same_rows(db: Engine) -> None:
    chain = history(7, 250)
    dice = random.Random(7)
    levels = [(dice.choice(list(Source)), dice.choice(list(Commitment)[1:])) for _ in range(10_000)]
    hands = list(zip(deal(chain, dice), levels, strict=False))

    def take(item: tuple[list[RawTransaction], tuple[Source, Commitment]]) -> IngestResult:
        hand, (source, commitment) = item
        return ingest_committed(db, hand, source=source, commitment=commitment, program=PROGRAM)

    with ThreadPoolExecutor(WRITERS) as pool:
        results = list(pool.map(take, hands))
    assert sum(one.new_transactions for one in results) == len(chain.told)
    assert differences(db, chain) == []
    with db.connect() as conn:
        positions = [frame.position for frame in stream.read_after(conn, 0, limit=1_000_000)]
        assert positions == list(range(1, stream.head(conn) + 1))
        assert rebuild.verify_projection(conn, PROGRAM) == []
        stored = conn.execute(select(func.count()).select_from(tables.transactions)).scalar_one()
        assert health.gaps(conn) == []
    assert stored == len(chain.told)


def test_writers_of_the_same_markets_do_not_overwrite_each_other(db: Engine) -> None:
    # One trade at a time, dealt in the chain's order: nothing comes late enough to be mended
    # by a refold, so an update that was lost would stay lost.
    chain = Recorder("hot")
    dice = random.Random(3)
    for number in range(4):
        chain.open(chain.create(number))
    begun = len(chain.told)
    for _ in range(240):
        chain.buy(dice.choice(chain.market_ids), dice.choice(chain.users), True, SOL // 10)
        chain.pass_()
    ingest_committed(
        db,
        chain.told[:begun],
        source=Source.BACKFILL,
        commitment=Commitment.FINALIZED,
        program=PROGRAM,
    )

    def take(transaction: RawTransaction) -> None:
        ingest_committed(
            db,
            [transaction],
            source=Source.WEBHOOK,
            commitment=Commitment.REPORTED,
            program=PROGRAM,
        )

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(take, chain.told[begun:]))
    assert differences(db, chain) == []
    with db.connect() as conn:
        assert rebuild.verify_projection(conn, PROGRAM) == []


def test_an_observer_by_writer_skips_no_row_that_commits_late(db: Engine) -> None:
    chain = history(8, 60)
    half = len(chain.told) // 2
    with db.connect() as slow:
        # The slow writer takes its transaction id first and commits last.
        slow.execute(text("SELECT pg_current_xact_id()"))
        ingest_committed(
            db,
            chain.told[:half],
            source=Source.BACKFILL,
            commitment=Commitment.FINALIZED,
            program=PROGRAM,
        )
        with db.connect() as conn:
            early = observe(conn, 0)
        ingest(
            slow,
            chain.told[half:],
            source=Source.BACKFILL,
            commitment=Commitment.FINALIZED,
            program=PROGRAM,
        )
        slow.commit()
    with db.connect() as conn:
        late = observe(conn, early.until)
    assert early.transactions + late.transactions == len(chain.told)
    assert early.transactions == 0  # nothing was certain while the older writer was at work
