"""Several submitters at once, and submitters that stand still: processes of their own."""

import itertools
import random
import signal

import pytest
from sqlalchemy import select

from tests.submissions.matrix import Matrix
from tests.submissions.submitters import Point, Submitter
from tests.submissions.world import World
from zmart_pipelines.store.tables.ops import attempts, intents

STALLED: tuple[Point, ...] = ("simulated", "signed", "stored", "sent", "landing", "landed", "final")


def rows(world: World) -> list[tuple[object, ...]]:
    with world.engine.connect() as conn:
        return [
            tuple(row)
            for table in (intents, attempts)
            for row in conn.execute(select(table).order_by(table.c.id))
        ]


@pytest.mark.timeout(300)
def test_a_stopped_and_resumed_submitter_changes_nothing_more(world: World, database: str) -> None:
    """SIGSTOP past the lease, another submitter finishes, SIGCONT."""
    matrix = Matrix(world, database, "aggregate_proposal_votes", len(STALLED))
    for point in STALLED:
        market = next(matrix.markets)
        intent = matrix.plan(market)
        zombie = Submitter(matrix.orders(point, fate=signal.SIGSTOP, stall=1.5))
        try:
            assert matrix.ticking_until(zombie.stopped), point
            assert matrix.recover(intent) == [], point
            assert not zombie.over()
            before = rows(world)
            zombie.resume()
            assert matrix.ticking_until(zombie.over), point
            assert zombie.passed[-1] in (point, "sent"), "it sends the stored bytes at most"
            refused = None if zombie.report is None else zombie.report.refused
            # In the middle of a write it is the database that hung up.
            assert (refused or "").startswith("the lease was lost") or (
                zombie.report is None and point in ("signed", "landing", "final")
            ), (point, zombie.report)
        finally:
            zombie.close()
        assert rows(world) == before, point
        assert matrix.faults(market, intent) == [], point


@pytest.mark.timeout(300)
def test_two_daemons_and_a_manual_run(world: World, database: str) -> None:
    """Three who start runs all the time, and now and then one is killed."""
    dice = random.Random(7)
    matrix = Matrix(world, database, "aggregate_proposal_votes", 8)
    markets = list(itertools.islice(matrix.markets, 8))
    planned = {market: matrix.plan(market) for market in markets}
    running: list[Submitter] = []
    held, turned_away, killed = 0, 0, 0

    def finished() -> bool:
        nonlocal held, turned_away, killed
        for submitter in [one for one in running if one.over()]:
            running.remove(submitter)
            killed += submitter.killed
            if submitter.report is not None:
                held += submitter.report.epoch is not None
                turned_away += submitter.report.epoch is None
            submitter.close()
        done = all(matrix.status(intent) == "final" for intent in planned.values())
        while not done and len(running) < 3:
            # Whoever works first is killed; from then on now and then one.
            spared: list[Point | None] = [None, None] if killed else []
            point = dice.choice([*spared, "signed", "sent", "landed"])
            running.append(Submitter(matrix.orders(point)))
        return done and not running

    assert matrix.ticking_until(finished)
    assert turned_away > 0, "they were never there at the same time"
    assert killed > 0
    assert held + killed > 1
    for market, intent in planned.items():
        assert matrix.faults(market, intent) == []
