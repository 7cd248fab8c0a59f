"""Hot reads of markets: equal to the tables at each moment, whatever was kept from before."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Connection, Engine, delete, update
from sqlalchemy.dialects.postgresql import insert

from api.errors import ApiError
from api.hot_reads.market_answers import MarketAnswers
from api.requests.market_list_query import ListParameters, ListQuery, list_query
from api.requests.pages import encode_cursor
from tests.api import seed
from zmart_pipelines.client_schemas import markets as schemas
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import markets
from zmart_pipelines.store.queries.market_search import Filters
from zmart_pipelines.store.tables import community, voting
from zmart_pipelines.store.tables import market as tables

EVERYTHING = list_query(ListParameters())
CATEGORIES = ("politics", "science", "other")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
KINDS = {0: "proposal", 4: "dispute"}


def key_of(number: int) -> bytes:
    """The id of the market with this number."""
    return number.to_bytes(16, "big") * 2


@pytest.fixture
def owner(database: str) -> Iterator[Engine]:
    """An engine that may write everything."""
    made = role_engine(Role.OWNER, database)
    yield made
    made.dispose()


@asynccontextmanager
async def answering(settings: Settings, **changes: Any) -> AsyncIterator[MarketAnswers]:
    """Answers on the database of ``settings``."""
    settings = settings.model_copy(update=changes)
    answers = MarketAnswers(settings)
    try:
        yield answers
    finally:
        answers.close()


def slow_list(conn: Connection, asked: ListQuery) -> Any:
    """The same page by SQLAlchemy, from whole rows, counted."""
    filters: dict[str, Any] = {
        "state": next(iter(asked.filters.states), None),
        "category": next(iter(asked.filters.categories), None),
        "creator": asked.filters.creator,
    }
    page = asked.page
    rows = markets.find_markets(conn, **filters, limit=page.fetch, offset=asked.offset)
    shown = rows[: asked.limit]
    last = shown[-1] if len(shown) < len(rows) else None
    body = {
        "markets": [schemas.market(row) for row in shown],
        "count": markets.count(conn, **filters),
        "count_capped": False,
        "next": last and encode_cursor(page.order, (0, last.created_at, last.market_id)),
        "offset": asked.offset,
        "limit": asked.limit,
    }
    return msgspec.json.decode(msgspec.json.encode(body))


class Writer:
    """Random changes of what market rows are made of, of markets that no other writer changes."""

    def __init__(self, engine: Engine, dice: random.Random, numbers: range) -> None:
        self._engine = engine
        self._dice = dice
        self._numbers = numbers
        self._steps = (
            self.trade,
            self.move,
            self.match,
            self.vote,
            self.vote_on_chain,
            self.remove,
        )
        with engine.begin() as conn:
            for number in numbers:
                category = CATEGORIES[number % len(CATEGORIES)]
                seed.question(conn, key_of(number), f"Will it happen {number} times?", category)
                self._match(conn, key_of(number), None)

    def step(self) -> None:
        """Commit one change, or several in one transaction."""
        with self._engine.begin() as conn:
            for number in sorted(self._dice.sample(self._numbers, self._dice.choice((1, 1, 3)))):
                row = markets.get(conn, key_of(number))
                if row is None:
                    self.create(conn, number)
                else:
                    self._dice.choice(self._steps)(conn, row)

    def create(self, conn: Connection, number: int) -> None:
        """A market that is new, or seen again after a rebuild."""
        seed.market(
            conn,
            key_of(number),
            state=self._dice.randrange(7),
            created_at=seed.CREATED + number % 3,
            creator=key_of(self._dice.randrange(3)),
        )

    def _set(self, conn: Connection, row: markets.Market, **values: Any) -> None:
        table = tables.markets
        conn.execute(update(table).where(table.c.market_id == row.market_id).values(values))

    def trade(self, conn: Connection, row: markets.Market) -> None:
        """A new volume."""
        self._set(conn, row, total_volume=self._dice.randrange(2**64), trades_count=2)

    def move(self, conn: Connection, row: markets.Market) -> None:
        """Another state."""
        self._set(conn, row, state=self._dice.randrange(7))

    def _match(self, conn: Connection, market_id: bytes, moment: datetime | None) -> None:
        table = community.market_drafts
        conn.execute(update(table).where(table.c.market_id == market_id).values(matched_at=moment))

    def match(self, conn: Connection, row: markets.Market) -> None:
        """The draft speaks for the market, or no longer."""
        self._match(conn, row.market_id, NOW if self._dice.random() < 0.7 else None)

    def vote(self, conn: Connection, row: markets.Market) -> None:
        """Ballots of the open round."""
        table = voting.tallies
        added = {"votes_for": self._dice.randrange(3), "votes_against": self._dice.randrange(3)}
        row_of_tally = {
            "market_id": row.market_id,
            "kind": self._dice.choice(list(KINDS.values())),
            "round": 0,
        }
        conn.execute(
            insert(table)
            .values(row_of_tally | added)
            .on_conflict_do_update(
                index_elements=list(row_of_tally),
                set_={name: table.c[name] + value for name, value in added.items()},
            )
        )

    def vote_on_chain(self, conn: Connection, row: markets.Market) -> None:
        """A VoteRecord; with it the ledger writes the market."""
        conn.execute(
            insert(tables.chain_votes).values(
                market_id=row.market_id,
                kind="proposal",
                wallet=self._dice.randbytes(32),
                choice=self._dice.random() < 0.5,
                voted_at=seed.CREATED,
                signature=self._dice.randbytes(64),
                slot=1,
                commitment="confirmed",
            )
        )
        self._set(conn, row, as_of_slot=self._dice.randrange(2**40))

    def remove(self, conn: Connection, row: markets.Market) -> None:
        """A market whose creation was orphaned."""
        if self._dice.random() < 0.3:
            table = tables.markets
            conn.execute(delete(table).where(table.c.market_id == row.market_id))


def some_request(dice: random.Random) -> ListQuery:
    """A page with any filters."""
    state, category, creator = (
        dice.choice((None, None, dice.randrange(7))),
        dice.choice((None, None, dice.choice(CATEGORIES))),
        dice.choice((None, None, key_of(dice.randrange(3)))),
    )
    filters = Filters(
        states=() if state is None else (state,),
        categories=() if category is None else (category,),
        creator=creator,
    )
    return ListQuery(filters, "newest", "desc", dice.choice((0, 1, 3, 20)), dice.choice((0, 0, 2)))


@pytest.mark.parametrize("cache_bytes", [64 * 1024 * 1024, 10_000, 0])
def test_answers_equal_the_tables_after_each_change(
    api_settings: Settings, owner: Engine, cache_bytes: int
) -> None:
    dice = random.Random(cache_bytes)
    writer = Writer(owner, dice, range(12))

    async def compare() -> None:
        async with answering(api_settings, api_row_cache_bytes=cache_bytes) as answers:
            for _ in range(150):
                await asyncio.to_thread(writer.step)
                for asked in (EVERYTHING, some_request(dice)):
                    body = await answers.list(asked)
                    with owner.connect() as conn:
                        assert msgspec.json.decode(body.content) == slow_list(conn, asked)
                await compare_one(answers, key_of(dice.randrange(13)))

    async def compare_one(answers: MarketAnswers, key: bytes) -> None:
        with owner.connect() as conn:
            row = markets.get(conn, key)
        if row is None:
            with pytest.raises(ApiError) as failure:
                await answers.one(key)
            assert failure.value.status == 404
            return
        expected = msgspec.json.encode(schemas.market(row))
        for name in (row.market_id, row.address):
            assert (await answers.one(name)).content == expected

    asyncio.run(compare())


def test_answers_are_never_torn_while_writers_commit(api_settings: Settings, owner: Engine) -> None:
    """Each transaction gives all markets one volume: a page with two would be of two moments."""
    numbers = range(20)
    with owner.begin() as conn:
        for number in numbers:
            seed.market(conn, key_of(number), total_volume=0)
    volumes = 60

    def write() -> None:
        for volume in range(1, volumes + 1):
            with owner.begin() as conn:
                conn.execute(update(tables.markets).values(total_volume=volume))

    async def read() -> None:
        async with answering(api_settings) as answers:
            with ThreadPoolExecutor(1) as pool:
                writing = pool.submit(write)
                last = 0
                while last < volumes:
                    is_over = writing.done()
                    pages = await asyncio.gather(*(answers.list(EVERYTHING) for _ in range(5)))
                    for page in pages:
                        rows = msgspec.json.decode(page.content)["markets"]
                        (volume,) = {row["total_volume"] for row in rows}
                        assert volume >= last
                        last = volume
                    # What was committed before a request is in its answer.
                    assert last == volumes or not is_over
                writing.result()

    asyncio.run(read())


def test_unchanged_page_is_the_same_body_and_is_not_read_again(
    api_settings: Settings, owner: Engine
) -> None:
    with owner.begin() as conn:
        seed.market(conn, key_of(1))

    async def read() -> None:
        async with answering(api_settings) as answers:
            first = await answers.list(EVERYTHING)
            assert await answers.list(EVERYTHING) is first
            with owner.begin() as conn:
                conn.execute(update(tables.markets).values(total_volume=7))
            assert await answers.list(EVERYTHING) is not first

    asyncio.run(read())


def test_shared_list_is_read_again_after_its_time(api_settings: Settings, owner: Engine) -> None:
    async def read() -> None:
        async with answering(api_settings, list_shared_seconds=3600) as answers:
            empty = await answers.list(EVERYTHING)
            with owner.begin() as conn:
                seed.market(conn, key_of(1))
            assert await answers.list(EVERYTHING) is empty
        async with answering(api_settings, list_shared_seconds=0.001) as answers:
            first = await answers.list(EVERYTHING)
            with owner.begin() as conn:
                seed.market(conn, key_of(2))
            await asyncio.sleep(0.01)
            assert await answers.list(EVERYTHING) is not first

    asyncio.run(read())


def test_open_vote_shows_its_running_counts_and_a_closed_one_what_the_chain_says(
    client: TestClient[Litestar], owner: Engine
) -> None:
    likes = {"proposal_likes": 3, "proposal_dislikes": 2, "dispute_agree": 5, "dispute_disagree": 4}
    with owner.begin() as conn:
        for state in range(7):
            seed.market(conn, key_of(state), state=state, **likes)
            for kind, votes in (("proposal", (16, 1)), ("dispute", (20, 2))):
                conn.execute(
                    insert(voting.tallies).values(
                        market_id=key_of(state),
                        kind=kind,
                        votes_for=votes[0],
                        votes_against=votes[1],
                    )
                )
    running = {
        0: {"proposal_likes": 16, "proposal_dislikes": 1},
        4: {"dispute_agree": 20, "dispute_disagree": 2},
    }
    listed = client.get("/api/markets?limit=50").json()["markets"]
    assert len(listed) == 7
    for row in listed:
        expected = likes | running.get(row["state_code"], {})
        assert {name: row[name] for name in likes} == expected
        assert client.get(f"/api/markets/{row['id']}").json() == row
