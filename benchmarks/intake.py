"""Ingesting: webhook bodies to committed ledger, projection and outbox."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from statistics import median
from typing import Final, NamedTuple

import psycopg
from sqlalchemy import Engine

from benchmarks.copying import Copier, Written, contents, written_rows
from benchmarks.database import Clock, Databases, Spent, backend_of, databases, writer
from benchmarks.history import BODY, History
from benchmarks.rows import Row
from zmart_pipelines.chain.transactions import from_helius
from zmart_pipelines.ledger.ingest.transaction import run_in_transaction
from zmart_pipelines.ledger.ingest.writer import ingest
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID as PROGRAM
from zmart_pipelines.store.engine import Role

GOAL_INTAKE: Final = 0.5
GOAL_REPLAY: Final = 2.0


def ingest_body(made: Engine, body: bytes) -> int:
    """Ingest and commit a webhook body; return how many transactions were new."""
    return run_in_transaction(
        made,
        lambda conn: ingest(
            conn,
            from_helius(body, PROGRAM),
            source=Source.WEBHOOK,
            commitment=Commitment.REPORTED,
            program=PROGRAM,
        ),
    ).new_transactions


class Round(NamedTuple):
    """Results of a round: ours, the same bodies again, the rival, the rival in a single load."""

    ours: Spent
    replay: Spent
    rival: Spent
    single: Spent


class _Known(NamedTuple):
    """The rows that the bodies make the ledger write: per body, in the end, and their hash."""

    bodies: list[list[Written]]
    final: list[Written]
    hash: str


@cache
def _rounds(quick: bool) -> tuple[int, list[Round]]:
    """Return the number of transactions and the rounds, each of which runs all sides in turn."""
    bodies = list(History().bodies(2_000 if quick else 10_000))
    with databases() as made:
        known = _record(made, bodies)
        found = []
        for _ in range(2 if quick else 5):
            with made.fresh() as url:
                ours, replay = _ours(url, bodies)
            with made.fresh() as url:
                rival = _theirs(url, known.bodies, known.hash)
            with made.fresh() as url:
                single = _theirs(url, [known.final], known.hash)
            found.append(Round(ours, replay, rival, single))
    return len(bodies) * BODY, found


def _record(made: Databases, bodies: Sequence[bytes]) -> _Known:
    with made.fresh() as url, writer(url) as engine:
        each = []
        for body in bodies:
            ingest_body(engine, body)
            with engine.connect() as conn:
                each.append(written_rows(conn, last=True))
        with engine.connect() as conn:
            return _Known(each, written_rows(conn, last=False), contents(conn))


def _ours(url: str, bodies: Sequence[bytes]) -> tuple[Spent, Spent]:
    with writer(url) as engine:
        backend = backend_of(engine)
        clock = Clock(backend)
        new = sum(ingest_body(engine, body) for body in bodies)
        ours = clock.read()
        clock = Clock(backend)
        again = sum(ingest_body(engine, body) for body in bodies)
        replay = clock.read()
    if (new, again) != (len(bodies) * BODY, 0):
        raise AssertionError("everything must be new once")
    return ours, replay


def _theirs(url: str, rows: Sequence[Sequence[Written]], expected: str) -> Spent:
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql")) as connection:
        connection.execute(f"SET ROLE {Role.OWNER.value}")
        copier = Copier(connection)
        clock = Clock(connection.info.backend_pid)
        for body in rows:
            copier.write(body)
        spent = clock.read()
    with writer(url) as engine, engine.connect() as conn:
        if contents(conn) != expected:
            raise AssertionError("the rival must end with the same rows")
    return spent


def webhook_to_ledger(quick: bool) -> Row:
    """Measure bodies of 100 transactions, committed per body, against bare COPY of the same rows.

    The best round of each side counts.
    """
    count, rounds = _rounds(quick)
    ours, theirs, once = (
        count / min(times)
        for times in (
            [one.ours.wall for one in rounds],
            [one.rival.wall for one in rounds],
            [one.single.wall for one in rounds],
        )
    )
    value = ours / theirs
    processor = median(one.rival.cpu / one.ours.cpu for one in rounds)
    rival = (
        f"COPY into temp + INSERT ON CONFLICT of the same rows, a commit for each body: "
        f"{theirs:.0f} transactions/s, ours {ours:.0f} (by processor time {processor:.2f}); "
        f"all final rows in one load: {once:.0f}, of which ours is {ours / once:.2f}"
    )
    return Row(
        "webhook_to_ledger",
        round(value, 2),
        "of the rival's speed",
        GOAL_INTAKE,
        rival,
        value >= GOAL_INTAKE,
    )


def replay(quick: bool) -> Row:
    """Measure ingesting the same bodies again against the first time."""
    count, rounds = _rounds(quick)
    first, again = (
        count / min(times)
        for times in ([one.ours.wall for one in rounds], [one.replay.wall for one in rounds])
    )
    value = again / first
    rival = f"first ingest: {first:.0f} transactions/s, the same bodies again {again:.0f}"
    return Row("replay", round(value, 2), "times as fast", GOAL_REPLAY, rival, value >= GOAL_REPLAY)
