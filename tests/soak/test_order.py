"""However often, in whatever order and through whichever door: the same state."""

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


class Told:
    """A transaction as the node tells it, and the door through which it comes.

    :ivar row: as an element of a raw webhook; None for what never comes by webhook.
    """

    def __init__(self, answer: bytes, by_webhook: bool) -> None:
        self.row: bytes | None = None
        if by_webhook:
            row = json.loads(answer)
            row["indexWithinBlock"] = row.pop("transactionIndex")
            self.row = json.dumps(row).encode()
        self.reading = from_rpc(answer, PROGRAM)


def hands(told: Sequence[Told], dice: random.Random) -> Iterator[list[Told]]:
    """Cut into deliveries of 1 to 60."""
    start = 0
    while start < len(told):
        size = dice.choice((1, 1, 2, 7, 20, 60))
        yield list(told[start : start + size])
        start += size


def deliver(db: Engine, hand: Sequence[Told], source: Source) -> None:
    """One webhook request with what comes by webhook, one reading by RPC of the rest."""
    rows = [one.row for one in hand if one.row is not None]
    if rows:
        body = b"[" + b",".join(rows) + b"]"
        with db.begin() as conn:
            delivery = store_delivery(conn, body, transaction_count=len(rows))
        assert process_delivery(db, delivery, program=PROGRAM).complete
    readings = [one.reading for one in hand if one.row is None]
    ingest_committed(
        db,
        readings,
        source=source,
        commitment=Commitment.CONFIRMED,
        program=PROGRAM,
    )


def play(
    db: Engine, crowd: Crowd, settings: Settings, events: int, dice: random.Random
) -> dict[bytes, bytes]:
    """The crowd acts; the ledger hears of it ten times over, late, mixed and by halves.

    :returns: the node's answer about each transaction.
    """
    crowd.open(max(10, events // 100))
    waiting: list[Told] = []
    answers: dict[bytes, bytes] = {}
    for phase in range(1, PHASES + 1):
        while crowd.expected < 1.1 * events * phase / PHASES:
            crowd.move()
        crowd.pass_(2)
        for number in range(len(answers), len(crowd.signatures)):
            signature = crowd.signatures[number]
            answer = crowd.rpc.transaction(signature, "confirmed")
            assert answer is not None
            answers[signature] = answer
            waiting += [Told(answer, by_webhook=number % 2 == 0)] * COPIES
        dice.shuffle(waiting)
        now = waiting if phase == PHASES else waiting[: len(waiting) // 2]
        waiting = waiting[len(now) :]
        doors = (Source.CONFIRMED_POLL, Source.FINALIZED_WINDOW, Source.BACKFILL)
        with ThreadPoolExecutor(WRITERS) as pool:
            work = [pool.submit(deliver, db, hand, dice.choice(doors)) for hand in hands(now, dice)]
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
        answers = play(db, crowd, settings, events, random.Random(21))
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
def test_five_thousand_events_ten_times_over(compare: Compare) -> None:
    compare(5_000)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_thousand_events_ten_times_over(compare: Compare) -> None:
    compare(100_000)
