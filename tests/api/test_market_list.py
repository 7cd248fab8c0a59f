"""The list of markets: search, filters, sorts and pages, with real rows."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine, func, text, update
from sqlalchemy.dialects.postgresql import insert

from api.app import create_app
from api.hot_reads import encoded_bodies
from tests.api.seed import SOL, address_of, market, question, trade, wallet
from zmart_pipelines.client_schemas.formats import chain_time
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.statistics.refresh import refresh
from zmart_pipelines.store.engine import Role, engine
from zmart_pipelines.store.queries import market_search
from zmart_pipelines.store.queries.market_pages import list_page
from zmart_pipelines.store.tables import community, voting
from zmart_pipelines.store.tables import market as tables

Client = TestClient[Litestar]
NOW = 1_790_000_000
KEYS = {"market_id", "address"}


def identity(number: int) -> bytes:
    """The id of a market; its number is the first byte."""
    return bytes([number]) * 32


@pytest.fixture
def owner(database: str) -> Iterator[Engine]:
    made = role_engine(Role.OWNER, database)
    yield made
    made.dispose()


def read(client: Client, query: str = "") -> Any:
    """The list, successfully."""
    answer = client.get(f"/api/markets{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def numbers(client: Client, query: str = "") -> list[int]:
    """The first bytes of the ids of all pages, walked two at a time, and as one page."""
    whole = read(client, query)
    found: list[int] = []
    mark = "&" if query else "?"
    page = read(client, f"{query}{mark}limit=2")
    while True:
        found += [int(row["id"][:2], 16) for row in page["markets"]]
        if page["next"] is None:
            break
        page = read(client, f"{query}{mark}limit=2&cursor={page['next']}")
    assert found == [int(row["id"][:2], 16) for row in whole["markets"]]
    skipped = read(client, f"{query}{mark}limit=3&offset=1")["markets"]
    assert [int(row["id"][:2], 16) for row in skipped] == found[1:4]
    assert whole["count"] == len(found)
    return found


def faults(client: Client, query: str) -> dict[str, str]:
    """The invalid fields of a request, with their messages."""
    answer = client.get(f"/api/markets?{query}")
    assert answer.status_code == 400, answer.text
    return {one["field"]: one["message"] for one in answer.json()["details"]}


def fill(ledger: Engine, owner: Engine) -> None:
    """Six markets: 1 to 5 with a question, 6 without; 2 and 3 are as old as each other."""
    with ledger.begin() as conn:
        facts: list[dict[str, Any]] = [
            {"state": 2, "total_volume": 5, "price_yes": 100_000_000},
            {"state": 0, "total_volume": 0, "price_yes": 500_000_000},
            {"state": 4, "total_volume": 9, "price_yes": 500_000_001, "created_at": NOW + 2},
            {"state": 2, "total_volume": 9, "price_yes": 900_000_000},
            {"state": 5, "total_volume": 2**64, "price_yes": 1_000_000_000},
            {"state": 0, "total_volume": 1, "price_yes": 0},
        ]
        for number, values in enumerate(facts, 1):
            row = {"created_at": NOW + number, "current_liquidity": 10 - number} | values
            market(conn, identity(number), **row)
        conn.execute(
            update(tables.markets)
            .where(tables.markets.c.market_id == identity(5))
            .values(resolver=bytes(wallet(9).pubkey()))
        )
        conn.execute(
            update(tables.markets)
            .where(tables.markets.c.market_id.in_([identity(1), identity(6)]))
            .values(creator=bytes(wallet(8).pubkey()))
        )
    with owner.begin() as conn:
        question(
            conn,
            identity(1),
            "Will Bitcoin reach $100k?",
            category="crypto",
            tags=["BTC", "Price"],
            ends_at=at(30),
            description="Decided by an exchange in São Paulo.",
        )
        question(
            conn,
            identity(2),
            "Überraschung in Paris: regnet es?",
            category="science",
            tags=[],
            ends_at=at(10),
            description="Bitcoin is mentioned here only.",
        )
        question(
            conn,
            identity(3),
            "Кто выиграет Кубок?",
            category="sports",
            tags=["cup"],
            ends_at=at(20),
            description="",
        )
        question(
            conn,
            identity(4),
            "Will BITCOINS be banned in 2031?",
            category="crypto",
            tags=["btc"],
            ends_at=at(10),
            description="",
        )
        question(
            conn,
            identity(5),
            "Will the price of rain rise?",
            category="other",
            tags=["bitcoin"],
            ends_at=at(40),
            description="",
        )


@pytest.fixture
def rows(ledger: Engine, owner: Engine) -> None:
    """The markets, in a database of the test's own."""
    fill(ledger, owner)


@pytest.fixture(scope="module")
def listed(module_settings: Settings) -> Iterator[Client]:
    """The markets, for tests that only read."""
    engines = [engine(role, module_settings) for role in (Role.INGEST, Role.OWNER)]
    fill(*engines)
    for one in engines:
        one.dispose()
    with TestClient(create_app(module_settings), raise_server_exceptions=False) as made:
        yield made


def at(seconds: int) -> int:
    return NOW + 1000 + seconds


class TestFilters:
    """Each filter alone and together."""

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("", [6, 5, 4, 3, 2, 1]),
            ("?state=", [6, 5, 4, 3, 2, 1]),
            ("?state=ACTIVE", [4, 1]),
            ("?state=active,4", [4, 3, 1]),
            ("?state=2&state=DISPUTED&state=DISPUTED", [4, 3, 1]),
            ("?state=3", []),
            ("?category=crypto", [4, 1]),
            ("?category=crypto,sports", [4, 3, 1]),
            ("?category=crypto&category=other", [5, 4, 1]),
            ("?category=crypto&state=FINALIZED", []),
            ("?category=crypto,other&state=5,2", [5, 4, 1]),
            ("?tag=btc", [4, 1]),
            ("?tag=BTC&state=2", [4, 1]),
            ("?tag=bt", []),
            ("?price_min=500000000", [5, 4, 3, 2]),
            ("?price_max=500000000", [6, 2, 1]),
            ("?price_min=500000000&price_max=500000000", [2]),
            ("?price_min=2&price_max=1", []),
            (f"?created_after={chain_time(NOW + 4)}", [6, 5, 4]),
            (f"?created_before={chain_time(NOW + 4)}", [3, 2, 1]),
            ("?created_after=2026-09-21T14:13:22.5Z&created_before=2026-09-21T14:13:24Z", []),
            ("?ends_after=2026-09-21T14:30:20Z", [5, 3, 1]),
            ("?ends_before=2026-09-21T14:30:20Z&sort=ending", [2, 4]),
            ("?ends_after=2026-09-21T14:30:10Z&ends_before=2026-09-21T14:30:10.000001Z", [4, 2]),
        ],
    )
    def test_filter(self, listed: Client, query: str, expected: list[int]) -> None:
        assert numbers(listed, query) == expected

    def test_wallets(self, listed: Client) -> None:
        assert numbers(listed, f"?creator={wallet(8).pubkey()}") == [6, 1]
        assert numbers(listed, f"?creator={wallet(8).pubkey()}&state=2") == [1]
        assert numbers(listed, f"?resolver={wallet(9).pubkey()}") == [5]
        assert numbers(listed, f"?resolver={wallet(8).pubkey()}") == []


class TestSorts:
    """Each sort in its directions, with ties and absent values."""

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("?sort=newest", [6, 5, 4, 3, 2, 1]),
            ("?sort=newest&order=asc", [1, 2, 3, 4, 5, 6]),
            ("?sort=ending", [2, 4, 3, 1, 5, 6]),
            ("?sort=ending&order=desc", [5, 1, 3, 4, 2, 6]),
            ("?sort=volume", [5, 4, 3, 1, 6, 2]),
            ("?sort=volume&order=asc", [2, 6, 1, 3, 4, 5]),
            ("?sort=volume&category=crypto,other&state=2,5", [5, 4, 1]),
            ("?sort=liquidity", [1, 2, 3, 4, 5, 6]),
            ("?sort=liquidity&order=asc&state=2", [4, 1]),
            # Without a vote under way the newest is first.
            ("?sort=closest_vote", [6, 5, 4, 3, 2, 1]),
        ],
    )
    def test_sort(self, listed: Client, query: str, expected: list[int]) -> None:
        assert numbers(listed, query) == expected

    @pytest.mark.usefixtures("rows")
    def test_closest_vote_is_the_one_nearest_to_a_tie(self, client: Client, owner: Engine) -> None:
        with owner.begin() as conn:
            for number, kind, for_, against in [
                (2, "proposal", 3, 1),
                (3, "dispute", 2**62, 2**62 - 1),
                (3, "proposal", 1, 1),  # not what its state is about
                (6, "proposal", 0, 0),
            ]:
                conn.execute(
                    insert(voting.tallies).values(
                        market_id=identity(number), kind=kind, votes_for=for_, votes_against=against
                    )
                )
        assert numbers(client, "?sort=closest_vote") == [3, 2, 6, 5, 4, 1]
        assert numbers(client, "?sort=closest_vote&state=0") == [2, 6]
        assert numbers(client, "?sort=closest_vote&category=sports") == [3]

    @pytest.mark.usefixtures("rows")
    def test_day_figures_are_those_of_the_statistics(
        self, client: Client, ledger: Engine, database: str
    ) -> None:
        now = int(time.time())
        assert read(client, "?sort=trending")["as_of"] is None
        with ledger.begin() as conn:
            for number, (where, user, cost) in enumerate(
                [(1, 1, 3 * SOL), (4, 1, SOL), (4, 2, SOL), (4, 3, SOL), (3, 1, 2 * SOL)], 1
            ):
                trade(conn, identity(where), wallet(user), number, cost=cost, traded_at=now - 60)
        pipelines = role_engine(Role.PIPELINES, database)
        refresh(pipelines, now=now)
        pipelines.dispose()
        # 3 SOL and 1 trader, 3 SOL and 3 traders, 2 SOL and 1 trader.
        assert numbers(client, "?sort=volume_24h") == [4, 1, 3, 6, 5, 2]
        assert numbers(client, "?sort=volume_24h&order=asc") == [2, 5, 6, 3, 1, 4]
        assert numbers(client, "?sort=trending") == [4, 1, 3, 6, 5, 2]
        assert numbers(client, "?sort=trending&state=2") == [4, 1]
        assert read(client, "?sort=trending")["as_of"] == chain_time(now)
        assert "as_of" not in read(client)


class TestSearch:
    """Words, prefixes, ids; other scripts; operators of tsquery."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            # In the question first, the newest first; then in tags and descriptions.
            ("bitcoin", [4, 1, 5, 2]),
            ("bitcoins", [4]),
            ("BitC", [4, 1, 5, 2]),
            ("reach bitcoin", [1]),
            ("will pri", [5, 1]),
            ("price bitcoin", [5, 1]),
            ("100k", [1]),
            ("$100K?", [1]),
            ("uberraschung", [2]),
            ("ÜBERRASCHUNG paris", [2]),
            ("sao", [1]),
            ("кубок ВЫИГР", [3]),
            ("market", [6]),
            ("Market 06060606", [6]),
            ("06060606", [6]),
            ("0606060606", [6]),
            ("06" * 32, [6]),
            ("060606061", []),
            ("   ", [6, 5, 4, 3, 2, 1]),
            ("& | ! <-> ( ) : * '", []),
            ("bitcoin:*", [4, 1, 5, 2]),
            ("'bitcoin' & !rain", [5]),
            ("\\", []),
            ("it''s; DROP TABLE x --", []),
            ("🎉", []),
            ("a" * 200, []),
            ("e\u0301" * 100, []),
        ],
    )
    def test_text(self, listed: Client, text: str, expected: list[int]) -> None:
        assert numbers(listed, f"?q={quote(text)}") == expected

    def test_address_names_its_market(self, listed: Client) -> None:
        assert numbers(listed, f"?q={address_of(identity(3))}") == [3]
        assert numbers(listed, f"?q={wallet(1).pubkey()}") == []

    def test_search_with_filters_and_another_sort(self, listed: Client) -> None:
        assert numbers(listed, "?q=bitcoin&category=crypto") == [4, 1]
        assert numbers(listed, "?q=bitcoin&state=0,5") == [5, 2]
        assert numbers(listed, "?q=bitcoin&sort=volume") == [5, 4, 1, 2]
        assert numbers(listed, "?q=bitcoin&sort=newest&order=asc") == [1, 2, 4, 5]
        assert numbers(listed, "?q=bitcoin&sort=ending") == [2, 4, 1, 5]
        assert numbers(listed, "?q=bitcoin&price_max=500000000") == [1, 2]

    @pytest.mark.usefixtures("rows")
    def test_draft_matched_later_and_its_end(self, client: Client, owner: Engine) -> None:
        with owner.begin() as conn:
            question(conn, identity(6), "Will it be found at last?", matched_at=None)
        assert numbers(client, "?q=found") == []
        with owner.begin() as conn:
            conn.execute(
                update(community.market_drafts)
                .where(community.market_drafts.c.market_id == identity(6))
                .values(matched_at=func.now())
            )
        assert numbers(client, "?q=found") == [6]
        assert numbers(client, "?q=market") == []
        with owner.begin() as conn:
            conn.execute(
                update(community.market_drafts)
                .where(community.market_drafts.c.market_id == identity(6))
                .values(matched_at=None)
            )
        assert numbers(client, "?q=found") == []
        assert numbers(client, "?q=market") == [6]

    @pytest.mark.usefixtures("rows")
    @pytest.mark.parametrize(
        "constants",
        [
            {"FEW": 0},
            {"FEW": 0, "COMMON": -1},
            {"SAMPLE": 1},
            {"FEW": 0, "COMMON": 2, "SAMPLE": 3},
        ],
    )
    def test_many_matches_are_found_like_few(
        self, client: Client, monkeypatch: pytest.MonkeyPatch, constants: dict[str, int]
    ) -> None:
        def answers() -> dict[str, list[int]]:
            return {query: numbers(client, query) for query in queries}

        texts = ("bitcoin", "will", "bitcoin+price", "0606060606", str(address_of(identity(3))))
        queries = [f"?q={text}" for text in texts]
        queries += ["?q=bitcoin&sort=volume", "?q=will&category=crypto"]
        # Each statement is really executed.
        monkeypatch.setattr(encoded_bodies, "BUSY_SECONDS", 0.0)
        expected = answers()
        for name, value in constants.items():
            monkeypatch.setattr(market_search, name, value)
        try:
            for cache in (list_page, market_search._found):
                cache.cache_clear()
            assert answers() == expected
        finally:
            for cache in (list_page, market_search._found):
                cache.cache_clear()


class TestBadInput:
    """400 with the field; all of them at once."""

    @pytest.mark.parametrize(
        ("query", "field", "message"),
        [
            ("state=7", "state", "must be one of PROPOSED, "),
            ("state=ACTIVE,OPEN", "state", "must be one of PROPOSED, "),
            ("category=fun", "category", "must be one of politics, "),
            ("sort=best", "sort", "must be one of newest, ending"),
            ("sort=relevance", "sort", "relevance needs q"),
            ("order=down", "order", "must be one of asc, desc"),
            ("order=asc&sort=trending", "order", "must be desc where sort is trending"),
            ("creator=0", "creator", "must be a base58 wallet address"),
            ("resolver=" + "1" * 44, "resolver", "must be a base58 wallet address"),
            ("price_min=-1", "price_min", "Expected `int` >= 0"),
            ("price_max=1000000001", "price_max", "Expected `int` <= 1000000000"),
            ("price_min=0.5", "price_min", "Expected `int"),
            ("created_after=yesterday", "created_after", "must be an ISO 8601 time"),
            ("created_before=2026-01-01", "created_before", "must be an ISO 8601 time"),
            ("ends_after=2026-01-01T00:00:00", "ends_after", "must be an ISO 8601 time"),
            ("q=" + "a" * 201, "q", "Expected `str` of length <= 200"),
            ("q=a%00b", "q", "must not contain NUL"),
            ("tag=%00", "tag", "must not contain NUL"),
            ("tag=" + "a" * 41, "tag", "Expected `str` of length <= 40"),
            ("cursor=x", "cursor", "must be `next` of a page"),
            ("cursor=" + "x" * 513, "cursor", "Expected `str` of length <= 512"),
            (
                "state=" + ",".join("abcdefghijklmnopqrstuvw"),
                "state",
                "must have at most 20 values",
            ),
        ],
    )
    def test_field(self, listed: Client, query: str, field: str, message: str) -> None:
        found = faults(listed, query)
        assert set(found) == {field}
        assert message in found[field]

    def test_all_at_once(self, listed: Client) -> None:
        found = faults(listed, "state=x&category=y&ends_before=0&order=asc&sort=trending&cursor=!")
        assert set(found) == {"state", "category", "ends_before", "order", "cursor"}

    def test_cursor_belongs_to_its_sort(self, listed: Client) -> None:
        cursor = read(listed, "?sort=volume&limit=1")["next"]
        assert len(read(listed, f"?sort=volume&cursor={cursor}")["markets"]) == 5
        for query in ("sort=liquidity", "sort=volume&order=asc", "sort=newest", "q=will"):
            assert set(faults(listed, f"{query}&cursor={cursor}")) == {"cursor"}
        cursor = read(listed, "?q=will&limit=1")["next"]
        assert set(faults(listed, f"q=bitcoin&cursor={cursor}")) == {"cursor"}
        assert set(faults(listed, f"q=will&offset=1&cursor={cursor}")) == {"cursor"}


def test_link_header_leads_through_all_pages(listed: Client) -> None:
    url, found = "/api/markets?state=0,2&limit=2&q=will", []
    for _ in range(5):
        answer = listed.get(url)
        found += [row["id"][:2] for row in answer.json()["markets"]]
        link = answer.headers.get("link")
        if link is None:
            break
        url = link.removeprefix("<").removesuffix('>; rel="next"')
        assert "state=0%2C2" in url
    assert found == ["04", "01"]


def test_count_is_cut_off_at_a_thousand(client: Client, ledger: Engine) -> None:
    with ledger.begin() as conn:
        market(conn, identity(0), price_yes=1)
        # Copies of the first, with other ids.
        copied = ", ".join(c.name for c in tables.markets.c if c.name not in KEYS)
        conn.execute(
            text(
                f"INSERT INTO market.markets (market_id, address, {copied})"
                f" SELECT sha256(int4send(n)), sha256(int8send(n)), {copied}"
                " FROM market.markets, generate_series(1, 1001) AS n"
            )
        )
    assert read(client, "?price_min=1&limit=1")["count"] == 1000
    assert read(client, "?price_min=1&limit=1")["count_capped"] is True
    assert read(client, "?q=market&limit=1")["count_capped"] is True
    for query in ("?limit=1", "?state=2&limit=1"):
        assert (read(client, query)["count"], read(client, query)["count_capped"]) == (1002, False)
    with ledger.begin() as conn:
        conn.execute(
            update(tables.markets)
            .where(
                tables.markets.c.market_id.in_([identity(0), hashlib.sha256(b"\0\0\0\1").digest()])
            )
            .values(price_yes=0)
        )
    page = read(client, "?price_min=1&limit=1")
    assert (page["count"], page["count_capped"]) == (1000, False)
