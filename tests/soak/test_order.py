"""The same state, however often, in whatever order and from whichever source."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from tests.fixtures.ledger import ingest_committed
from tests.fixtures.localnet import Localnet
from tests.ledger.recorded_rpc import PROGRAM
from tests.soak.crowd import Crowd
from tests.soak.reference import in_order_once
from tests.soak.state import known_to_clients, state
from zmart_pipelines.chain.transactions import from_rpc
from zmart_pipelines.ledger.audit import rebuild
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.ledger.readers.confirmed_poll import poll_confirmed
from zmart_pipelines.ledger.readers.deliveries import process_delivery, store_delivery
from zmart_pipelines.ledger.readers.finalized_window import read_finalized_window
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries import health

COPIES = 10
WRITERS = 4
PHASES = 6


class Delivered:
    """A transaction as the node returns it, and whether it is delivered by webhook.

    Attributes:
        row: element of a raw webhook; None if it is never delivered by webhook.
    """

    def __init__(self, answer: bytes, by_webhook: bool) -> None:
        self.row: bytes | None = None
        if by_webhook:
            row = json.loads(answer)
            row["indexWithinBlock"] = row.pop("transactionIndex")
            self.row = json.dumps(row).encode()
        self.reading = from_rpc(answer, PROGRAM)


def batches(delivered: Sequence[Delivered], dice: random.Random) -> Iterator[list[Delivered]]:
    """Split into deliveries of 1 to 60."""
    start = 0
    while start < len(delivered):
        size = dice.choice((1, 1, 2, 7, 20, 60))
        yield list(delivered[start : start + size])
        start += size


def deliver(db: Engine, batch: Sequence[Delivered], source: Source) -> None:
    """Send one webhook request, and ingest the rest as readings by RPC."""
    rows = [one.row for one in batch if one.row is not None]
    if rows:
        body = b"[" + b",".join(rows) + b"]"
        with db.begin() as conn:
            delivery = store_delivery(conn, body, transaction_count=len(rows))
        assert process_delivery(db, delivery, program=PROGRAM).complete
    readings = [one.reading for one in batch if one.row is None]
    ingest_committed(
        db,
        readings,
        source=source,
        commitment=Commitment.CONFIRMED,
        program=PROGRAM,
    )


def run_crowd(
    db: Engine, crowd: Crowd, settings: Settings, events: int, dice: random.Random
) -> dict[bytes, bytes]:
    """Let the crowd act; deliver every transaction ten times, late, shuffled and split.

    Returns:
        The node's answer for each transaction.
    """
    crowd.open(max(10, events // 100))
    waiting: list[Delivered] = []
    answers: dict[bytes, bytes] = {}
    for phase in range(1, PHASES + 1):
        while crowd.expected < 1.1 * events * phase / PHASES:
            crowd.move()
        crowd.advance(2)
        for number in range(len(answers), len(crowd.signatures)):
            signature = crowd.signatures[number]
            answer = crowd.rpc.transaction(signature, "confirmed")
            assert answer is not None
            answers[signature] = answer
            waiting += [Delivered(answer, by_webhook=number % 2 == 0)] * COPIES
        dice.shuffle(waiting)
        now = waiting if phase == PHASES else waiting[: len(waiting) // 2]
        waiting = waiting[len(now) :]
        sources = (Source.CONFIRMED_POLL, Source.FINALIZED_WINDOW, Source.BACKFILL)
        with ThreadPoolExecutor(WRITERS) as pool:
            work = [
                pool.submit(deliver, db, batch, dice.choice(sources))
                for batch in batches(now, dice)
            ]
            for one in work:
                one.result()
        if phase % 2:
            poll_confirmed(db, crowd.rpc, settings, seconds=5)
        else:
            read_finalized_window(db, crowd.rpc, settings)
    crowd.chain.control.finalize()
    read_finalized_window(db, crowd.rpc, settings)
    return answers


@pytest.fixture
def crowd(localnet: Localnet) -> Iterator[Crowd]:
    made = Crowd(localnet, random.Random(20))
    yield made
    made.close()


Compare = Callable[[int], None]


@pytest.fixture
def compare(db: Engine, reference: Engine, crowd: Crowd, settings: Settings) -> Compare:
    def run(events: int) -> None:
        answers = run_crowd(db, crowd, settings, events, random.Random(21))
        in_order_once(reference, crowd.rpc, answers)
        expected, found = state(reference), state(db)
        assert found == expected
        assert expected["chain.events"].rows >= events
        assert expected["chain.transactions"].rows >= len(crowd.signatures)
        assert known_to_clients(db) == known_to_clients(reference)
        with db.connect() as conn:
            assert rebuild.verify_projection(conn, PROGRAM) == []
            assert len(health.coverage(conn)) == 1
            assert health.gaps(conn) == []

    return run


@pytest.mark.timeout(300)
def test_five_thousand_events_delivered_ten_times(compare: Compare) -> None:
    compare(5_000)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_events_delivered_ten_times(compare: Compare) -> None:
    compare(100_000)
