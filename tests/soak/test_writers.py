"""Eight writers for twenty seconds, and every kind of reader that resumes from a cursor."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Connection, Engine, TextClause, func, select, text
from sqlalchemy.engine import make_url

from tests.fixtures.ledger import ingest_committed
from tests.ledger.recorded_rpc import PROGRAM, SOL, Recorder
from zmart_pipelines.chain.transactions import RawTransaction
from zmart_pipelines.ledger.audit import rebuild
from zmart_pipelines.ledger.ingest.writer import ingest
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.runtime.postgres import SUPERUSER, PostgresServer
from zmart_pipelines.store import stream, stream_sources
from zmart_pipelines.store.queries.committed_changes import changes_since
from zmart_pipelines.store.stream import Frame, StoredFrame
from zmart_pipelines.store.tables import chain as tables
from zmart_pipelines.store.tables import ops

WRITERS: Final = 8
SECONDS: Final = 20
MARKETS: Final = 6
TRADES: Final = 3_200
# Seconds; a writer's pauses are some of these.
LINGER: Final = 0.02

# The trap: rows numbered by a sequence, and readers that resume from the last number. The
# second reader also waits for older transactions, as is often advised.
_TRAP = """
CREATE TABLE public.trap (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id()
);
GRANT SELECT, INSERT ON public.trap TO zmart_ingest;
"""
_NAIVE = text("SELECT id FROM public.trap WHERE id > :last ORDER BY id LIMIT 500")
_GUARDED = text(
    "SELECT id FROM public.trap WHERE id > :last"
    " AND xid < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY id LIMIT 500"
)


@pytest.fixture
def trap(postgres_server: PostgresServer, db: Engine) -> Engine:
    """The database with the trap in it."""
    name = make_url(db.url).database
    assert name is not None
    with psycopg.connect(postgres_server.url(name, SUPERUSER), autocommit=True) as admin:
        admin.execute(sql.SQL(_TRAP))
    return db


def write_until(db: Engine, work: list[RawTransaction], until: float, number: int) -> int:
    """Write until a time, with random pauses before, between and after the rows."""
    dice = random.Random(number)
    done = 0
    while time.monotonic() < until and done < len(work):
        with db.begin() as conn:
            conn.execute(text("SELECT pg_current_xact_id()"))
            _pause_at_random(conn, dice)
            conn.execute(text("INSERT INTO public.trap DEFAULT VALUES"))
            _pause_at_random(conn, dice)
            if number % 4 == 3:
                # Like a request that stores a vote or a comment.
                channel = stream.market_channel(bytes([number]) * 32)
                stream.append(conn, [Frame(channel, "vote", {"n": done})])
            else:
                ingest(
                    conn,
                    [work[done]],
                    source=Source.WEBHOOK,
                    commitment=Commitment.REPORTED,
                    program=PROGRAM,
                )
            _pause_at_random(conn, dice)
        done += 1
        time.sleep(dice.uniform(0, LINGER))
    return done


def _pause_at_random(conn: Connection, dice: random.Random) -> None:
    conn.execute(text("SELECT pg_sleep(:s)"), {"s": dice.choice((0, 0, 0.5, 1, 4)) * LINGER})


class Reader(threading.Thread):
    """Reads continuously, and once more after the writers have ended."""

    def __init__(self, db: Engine, read: Callable[[Connection], int]) -> None:
        super().__init__()
        self.db = db
        self.read = read
        self.over = threading.Event()
        self.found = 0

    def run(self) -> None:
        """Until nothing new comes after the end."""
        while True:
            ended = self.over.is_set()
            with self.db.connect() as conn:
                found = self.read(conn)
            self.found += found
            if ended and not found:
                return
            time.sleep(0.03)


class Frames:
    """A cursor on the stream: all of it, or one channel."""

    def __init__(self, channel: str | None = None) -> None:
        self.channel = channel
        self.frames: list[StoredFrame] = []

    def __call__(self, conn: Connection) -> int:
        last = self.frames[-1].position if self.frames else 0
        if self.channel is None:
            rows = stream.read_after(conn, last, 500)
        else:
            rows = stream_sources.read(conn, [stream_sources.Source(self.channel)], last, limit=500)
        self.frames += rows
        return len(rows)


class Observer:
    """The cursor by writers that Dagster's observer uses."""

    def __init__(self) -> None:
        self.since = 0
        self.transactions = 0
        self.events = 0

    def __call__(self, conn: Connection) -> int:
        seen = changes_since(conn, self.since)
        self.since = seen.until
        self.transactions += seen.transactions
        self.events += sum(seen.events.values())
        return seen.transactions


class Trapped:
    """A cursor on the numbers of a sequence."""

    def __init__(self, statement: TextClause) -> None:
        self.statement = statement
        self.numbers: list[int] = []

    def __call__(self, conn: Connection) -> int:
        last = self.numbers[-1] if self.numbers else 0
        rows = conn.execute(self.statement, {"last": last}).scalars().all()
        self.numbers += rows
        return len(rows)


def chain_of_trades() -> tuple[Recorder, list[list[RawTransaction]]]:
    """Markets with more trades than the writers can store, dealt out to them."""
    chain = Recorder("writers")
    for number in range(MARKETS):
        chain.open(chain.create(number))
    begun = len(chain.transactions)
    dice = random.Random(8)
    for _ in range(TRADES):
        chain.buy(dice.choice(chain.market_ids), dice.choice(chain.users), True, SOL // 100)
        chain.advance()
    trades = chain.transactions[begun:]
    del chain.transactions[begun:]
    return chain, [trades[number::WRITERS] for number in range(WRITERS)]


def test_no_cursor_skips_late_commits(trap: Engine) -> None:
    db = trap
    chain, dealt = chain_of_trades()
    ingest_committed(
        db,
        chain.transactions,
        source=Source.BACKFILL,
        commitment=Commitment.FINALIZED,
        program=PROGRAM,
    )
    whole, observer = Frames(), Observer()
    channels = [Frames(stream.MARKETS_CHANNEL), Frames(stream.market_channel(chain.market_ids[0]))]
    naive, guarded = Trapped(_NAIVE), Trapped(_GUARDED)
    cursors: list[Callable[[Connection], int]] = [whole, *channels, observer, naive, guarded]
    readers = [Reader(db, one) for one in cursors]
    for reader in readers:
        reader.start()
    until = time.monotonic() + SECONDS
    with ThreadPoolExecutor(WRITERS) as pool:
        done = list(
            pool.map(lambda item: write_until(db, item[1], until, item[0]), enumerate(dealt))
        )
    for reader in readers:
        reader.over.set()
    for reader in readers:
        reader.join(60)
        assert not reader.is_alive()

    with db.connect() as conn:
        stored_frames = conn.execute(select(ops.stream).order_by(ops.stream.c.position)).all()
        stored = conn.execute(select(func.count()).select_from(tables.transactions)).scalar_one()
        events = conn.execute(select(func.count()).select_from(tables.events)).scalar_one()
        planted = set(conn.execute(text("SELECT id FROM public.trap")).scalars())
        assert rebuild.verify_projection(conn, PROGRAM) == []
    assert min(done) > 20
    assert len(planted) == sum(done)
    assert [one.position for one in stored_frames] == list(range(1, len(stored_frames) + 1))
    assert [one.position for one in whole.frames] == [one.position for one in stored_frames]
    for cursor in channels:
        own = [one.position for one in stored_frames if one.channel == cursor.channel]
        assert [one.position for one in cursor.frames] == own
        assert [one.previous for one in cursor.frames] == [0, *own[:-1]]
    assert (observer.transactions, observer.events) == (stored, events)
    # The control: the same readers on numbers of a sequence lose rows for ever.
    assert planted - set(naive.numbers)
    assert planted - set(guarded.numbers)
