"""The maintained counts of markets equal the truth after any changes, concurrent ones included."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, Engine, delete, select, text, update
from sqlalchemy.exc import ProgrammingError

from tests.api import seed
from tests.store.conftest import Engines
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import market_counts
from zmart_pipelines.store.tables import community, market

MARKETS, DRAFTS, COUNTS = market.markets, community.market_drafts, market.market_counts
CATEGORIES = ("politics", "science", "other")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def key_of(number: int) -> bytes:
    """The id of the market with this number."""
    return number.to_bytes(16, "big") * 2


def total(engine: Engine, **cell: object) -> int:
    """The maintained number of markets."""
    with engine.connect() as conn:
        where = (COUNTS.c[name] == value for name, value in cell.items())
        return int(conn.execute(market_counts.total(*where)).scalar_one())


def wrong(engine: Engine) -> list[market_counts.WrongCount]:
    """Where the counts are not the truth."""
    with engine.connect() as conn:
        return market_counts.differences(conn)


def draft(conn: Connection, number: int, *, matched: bool) -> None:
    """A draft of market ``number``."""
    category = CATEGORIES[number % len(CATEGORIES)]
    seed.question(conn, key_of(number), f"Will it happen {number} times?", category)
    if not matched:
        match(conn, number, moment=None)


def match(conn: Connection, number: int, *, moment: datetime | None = NOW) -> None:
    """Match the draft of market ``number``, or undo it."""
    conn.execute(
        update(DRAFTS).where(DRAFTS.c.market_id == key_of(number)).values(matched_at=moment)
    )


def move(conn: Connection, number: int, state: int) -> None:
    """Change the state of a market."""
    conn.execute(update(MARKETS).where(MARKETS.c.market_id == key_of(number)).values(state=state))


def test_counts_follow_markets_and_the_matching_of_their_drafts(engines: Engines) -> None:
    owner = engines[Role.OWNER]
    with owner.begin() as conn:
        draft(conn, 1, matched=False)
        draft(conn, 2, matched=True)
        for number in range(1, 4):
            seed.market(conn, key_of(number), state=0)
    assert (total(owner), total(owner, category="other")) == (3, 1)
    assert total(owner, state=0, category="") == 2
    with owner.begin() as conn:
        match(conn, 1)
        move(conn, 3, 2)
    assert total(owner, category="science") == 1
    assert (total(owner, state=0), total(owner, state=2, category="")) == (2, 1)
    with owner.begin() as conn:
        match(conn, 1, moment=None)
        conn.execute(delete(MARKETS).where(MARKETS.c.market_id == key_of(2)))
    assert (total(owner), total(owner, category="science"), total(owner, category="other")) == (
        2,
        0,
        0,
    )
    assert wrong(owner) == []


def test_change_that_is_rolled_back_is_not_counted(engines: Engines) -> None:
    owner = engines[Role.OWNER]
    with owner.connect() as conn:
        seed.market(conn, key_of(1))
        conn.rollback()
    assert total(owner) == 0


def test_truncated_markets_are_not_counted(engines: Engines) -> None:
    owner = engines[Role.OWNER]
    with owner.begin() as conn:
        seed.market(conn, key_of(1))
    with owner.begin() as conn:
        conn.execute(text("TRUNCATE market.markets CASCADE"))
    assert total(owner) == 0
    with owner.begin() as conn:
        seed.market(conn, key_of(1))
    assert total(owner) == 1


def test_writers_do_not_wait_for_each_others_counts(engines: Engines) -> None:
    ingest = engines[Role.INGEST]
    with ingest.connect() as first, ingest.connect() as second:
        second.execute(text("SET lock_timeout = '20s'"))
        for number, conn in ((1, first), (2, second), (3, first), (4, second)):
            seed.market(conn, key_of(number), state=0)
        second.commit()
        first.commit()
    assert total(ingest, state=0) == 4
    assert wrong(ingest) == []


@pytest.mark.parametrize("market_first", [True, False])
def test_draft_that_is_matched_while_its_market_is_created_moves_the_count(
    engines: Engines, market_first: bool
) -> None:
    owner = engines[Role.OWNER]
    with owner.begin() as conn:
        draft(conn, 1, matched=False)
    steps: list[Callable[[Connection], None]] = [
        lambda conn: seed.market(conn, key_of(1)),
        lambda conn: match(conn, 1),
    ]
    first, second = steps if market_first else reversed(steps)
    with owner.connect() as conn, ThreadPoolExecutor(1) as pool:
        first(conn)
        with owner.connect() as other:
            backend = other.execute(text("SELECT pg_backend_pid()")).scalar_one()
            waiting = pool.submit(second, other)
            while not _waits(conn, backend) and not waiting.done():
                pass
            conn.commit()
            waiting.result(60)
            other.commit()
    assert total(owner, category=CATEGORIES[1]) == 1
    assert wrong(owner) == []


def _waits(conn: Connection, backend: int) -> bool:
    return bool(
        conn.execute(select(text(f"cardinality(pg_blocking_pids({backend}))"))).scalar_one()
    )


def test_random_changes_of_concurrent_writers_are_counted(engines: Engines) -> None:
    owner = engines[Role.OWNER]
    markets, writers = 24, 4
    with owner.begin() as conn:
        for number in range(markets):
            draft(conn, number, matched=False)

    def run(writer: int) -> None:
        """Change the markets of this writer, several in one transaction."""
        dice = random.Random(writer)
        own = range(writer, markets, writers)
        for _ in range(40):
            with owner.connect() as conn:
                for number in sorted(dice.sample(own, 3)):
                    _change(conn, number, dice)
                if dice.random() < 0.8:
                    conn.commit()

    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(run, range(writers)))
    assert wrong(owner) == []
    with owner.connect() as conn:
        rows = conn.execute(text("SELECT count(*) FROM market.market_counts")).scalar_one()
    assert rows <= 7 * 4 * writers  # states, categories and none


def _change(conn: Connection, number: int, dice: random.Random) -> None:
    exists = conn.execute(select(MARKETS.c.state).where(MARKETS.c.market_id == key_of(number)))
    if exists.one_or_none() is None:
        seed.market(conn, key_of(number), state=dice.randrange(7))
    elif dice.random() < 0.2:
        conn.execute(delete(MARKETS).where(MARKETS.c.market_id == key_of(number)))
    elif dice.random() < 0.5:
        move(conn, number, dice.randrange(7))
    else:
        match(conn, number, moment=NOW if dice.random() < 0.7 else None)


def test_counts_that_are_wrong_are_found_and_set_right(engines: Engines) -> None:
    owner, ingest = engines[Role.OWNER], engines[Role.INGEST]
    with owner.begin() as conn:
        conn.execute(text("ALTER TABLE market.markets DISABLE TRIGGER USER"))
        seed.market(conn, key_of(1), state=2)
        conn.execute(text("ALTER TABLE market.markets ENABLE TRIGGER USER"))
        conn.execute(COUNTS.insert().values(state=0, category="", markets=5))
    assert wrong(ingest) == [
        market_counts.WrongCount(0, "", 5, 0),
        market_counts.WrongCount(2, "", 0, 1),
    ]
    with ingest.begin() as conn:
        market_counts.recount(conn)
    assert wrong(ingest) == []
    assert total(ingest) == 1


def test_writers_cannot_change_counts_themselves(engines: Engines) -> None:
    for role in (Role.INGEST, Role.API, Role.PIPELINES, Role.READ):
        for statement in (
            "UPDATE market.market_counts SET markets = 0",
            "SELECT market.add_to_count(0::smallint, '', 1)",
        ):
            with (
                engines[role].connect() as conn,
                pytest.raises(ProgrammingError, match="permission denied"),
            ):
                conn.execute(text(statement))
