"""Candles over HTTP: stored by the pipelines' refresh, and continued by newer trades."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine, delete, func, update

from tests.api.seed import CREATED, address_of, market, trade, wallet
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.statistics.refresh import refresh
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables.market import markets, trades

Client = TestClient[Litestar]
ONE, EMPTY = b"\x01" * 32, b"\x02" * 32
URL = f"/api/markets/{ONE.hex()}/candles"
HOUR = CREATED // 3600 * 3600
HALF = 500_000_000
# Seconds after HOUR, price, cost: two trades in a minute, one later, one hours later.
TRADES = [
    (60, 520_000_000, 2**53),
    (119, 510_000_000, 2**53 + 1),
    (180, 560_000_000, 7),
    (4 * 3600, 300_000_000, 9),
]


@pytest.fixture
def pipelines(database: str) -> Iterator[Engine]:
    made = role_engine(Role.PIPELINES, database)
    yield made
    made.dispose()


@pytest.fixture
def _rows(ledger: Engine, pipelines: Engine) -> None:
    with ledger.begin() as conn:
        market(conn, ONE, created_at=HOUR)
        market(conn, EMPTY)
        for number, (after, price, cost) in enumerate(TRADES, 1):
            trade(
                conn,
                ONE,
                wallet(1),
                number,
                traded_at=HOUR + after,
                price_yes=price,
                cost=cost,
            )
    refresh(pipelines)


def read(client: Client, url: str) -> Any:
    """GET, successfully."""
    answer = client.get(url)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.usefixtures("_rows")
def test_candles_are_exact_and_oldest_first(client: Client) -> None:
    page = read(client, f"{URL}?interval=1m")
    assert {**page, "candles": None} == {
        "market_id": ONE.hex(),
        "interval": "1m",
        "side": "yes",
        "candles": None,
        "count": 3,
        "limit": 100,
        "next": None,
        "previous_close": HALF,
        "as_of": page["as_of"],
        "as_of_slot": 1,
    }
    assert page["candles"][0] == {
        "time": HOUR + 60,
        "starts_at": page["candles"][0]["starts_at"],
        "open": 520_000_000,
        "high": 520_000_000,
        "low": 510_000_000,
        "close": 510_000_000,
        "volume": 2**54 + 1,
        "trades": 2,
        "exact": {"volume": str(2**54 + 1)},
    }
    assert page["candles"][0]["starts_at"].endswith(":01:00.000Z")
    assert [one["time"] - HOUR for one in page["candles"]] == [60, 180, 4 * 3600]
    by_address = read(client, f"/api/markets/{address_of(ONE)}/candles?interval=1m")
    assert {**by_address, "as_of": page["as_of"]} == page


@pytest.mark.usefixtures("_rows")
@pytest.mark.parametrize(
    ("interval", "counts"),
    [
        ("1m", [2, 1, 1]),
        ("5m", [3, 1]),
        ("15m", [3, 1]),
        ("1h", [3, 1]),
        ("4h", [3, 1]),
        ("1d", [4]),
        ("1w", [4]),
    ],
)
def test_each_interval_covers_all_trades(client: Client, interval: str, counts: list[int]) -> None:
    page = read(client, f"{URL}?interval={interval}")
    found = [one["trades"] for one in page["candles"]]
    assert found == counts
    assert sum(one["volume"] for one in page["candles"]) == sum(cost for *_, cost in TRADES)


@pytest.mark.usefixtures("_rows")
def test_range_has_the_price_before_it(client: Client) -> None:
    page = read(client, f"{URL}?interval=1m&from={HOUR + 61}")
    assert [one["time"] - HOUR for one in page["candles"]] == [180, 4 * 3600]
    assert page["previous_close"] == 510_000_000
    page = read(client, f"{URL}?interval=1m&from={HOUR + 60}&to={HOUR + 180}")
    assert [one["time"] - HOUR for one in page["candles"]] == [60]
    assert page["previous_close"] == HALF
    newest = read(client, f"{URL}?interval=1m&limit=1")
    assert [one["time"] - HOUR for one in newest["candles"]] == [4 * 3600]
    assert newest["previous_close"] == 560_000_000
    later = read(client, f"{URL}?interval=1m&from={HOUR + 10**6}")
    assert (later["candles"], later["previous_close"]) == ([], 300_000_000)
    assert read(client, f"{URL}?limit=0")["candles"] == []


@pytest.mark.usefixtures("_rows")
def test_no_candles_without_trades_and_404_without_market(client: Client) -> None:
    page = read(client, f"/api/markets/{EMPTY.hex()}/candles")
    assert (page["candles"], page["interval"], page["previous_close"]) == ([], "1h", HALF)
    answer = client.get(f"/api/markets/{'ab' * 32}/candles")
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("interval=2m", "interval"),
        ("interval=", "interval"),
        ("from=x", "from"),
        ("from=-1", "from"),
        ("to=1.5", "to"),
        (f"to={2**64}", "to"),
        ("from=5&to=5", "from"),
        ("limit=1441", "limit"),
        ("limit=-1", "limit"),
    ],
)
def test_invalid_query_is_named(client: Client, query: str, field: str) -> None:
    answer = client.get(f"{URL}?{query}")
    assert answer.status_code == 400, answer.text
    assert [one["field"] for one in answer.json()["details"]] == [field], answer.text


def test_malformed_market_in_the_path_is_404(client: Client) -> None:
    assert client.get("/api/markets/xyz/candles").status_code == 404


def store(engine: Engine, number: int, after: int, price: int, cost: int, **market: Any) -> None:
    """Store the trade of slot ``number``, as the ledger appends it."""
    with engine.begin() as conn:
        trade(conn, ONE, wallet(1), number, traded_at=HOUR + after, price_yes=price, cost=cost)
        values = {
            "trades_count": markets.c.trades_count + 1,
            "updated_at": func.clock_timestamp(),
            **market,
        }
        conn.execute(update(markets).where(markets.c.market_id == ONE).values(values))


def expected(
    rows: list[tuple[int, int, int]], seconds: int, offset: int = 0
) -> list[dict[str, int]]:
    """Candles of rows of (seconds after HOUR, price, cost), computed from them alone."""
    found: dict[int, list[tuple[int, int]]] = {}
    for after, price, cost in rows:
        start = (HOUR + after - offset) // seconds * seconds + offset
        found.setdefault(start, []).append((price, cost))
    return [
        {
            "time": start,
            "open": group[0][0],
            "high": max(price for price, _ in group),
            "low": min(price for price, _ in group),
            "close": group[-1][0],
            "volume": sum(cost for _, cost in group),
            "trades": len(group),
        }
        for start, group in sorted(found.items())
    ]


def plain(page: Any) -> list[dict[str, int]]:
    """The candles of a page without their other names."""
    extra = {"starts_at", "exact"}
    return [{k: v for k, v in one.items() if k not in extra} for one in page["candles"]]


LENGTHS = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600, "4h": 14_400, "1d": 86_400, "1w": 604_800}
MONDAY = 4 * 86_400


@pytest.mark.usefixtures("_rows")
@pytest.mark.parametrize("interval", LENGTHS)
def test_candles_agree_with_trades_since_the_last_refresh(
    client: Client, ledger: Engine, pipelines: Engine, interval: str
) -> None:
    """The refresh does not run for a fortnight; the candles are those of all trades in each."""
    with ledger.begin() as conn:
        conn.execute(update(markets).values(trades_count=0))
        conn.execute(
            update(markets).where(markets.c.market_id == ONE).values(trades_count=len(TRADES))
        )
    refresh(pipelines, everything=True)
    rows = list(TRADES)
    newer = [
        (4 * 3600 + 5, 310_000_000, 11),
        (4 * 3600 + 59, 290_000_000, 13),
        (5 * 3600, 600_000_000, 2**53 + 7),
        (6 * 86_400, 610_000_000, 17),
        (13 * 86_400, 400_000_000, 19),
        (13 * 86_400 + 1, 640_000_000, 23),
    ]
    offset = MONDAY if interval == "1w" else 0
    for number, row in enumerate(newer, len(TRADES) + 1):
        store(ledger, number, *row)
        rows.append(row)
        page = read(client, f"{URL}?interval={interval}&limit=1440")
        assert plain(page) == expected(rows, LENGTHS[interval], offset)
    before = page
    refresh(pipelines)
    after = read(client, f"{URL}?interval={interval}&limit=1440")
    assert after["candles"] == before["candles"], "the refresh stores what was answered"


@pytest.mark.usefixtures("_rows")
def test_candles_follow_a_refold_before_the_next_refresh(
    client: Client, ledger: Engine, pipelines: Engine
) -> None:
    """A trade is orphaned and another appears: as many trades as before, other prices."""
    refresh(pipelines)
    with ledger.begin() as conn:
        conn.execute(delete(trades).where(trades.c.slot == 3))
    refolded = {"trades_count": len(TRADES), "refolded_at": func.clock_timestamp()}
    store(ledger, 3, 200, 700_000_000, 7, **refolded)
    rows = [*TRADES[:2], (200, 700_000_000, 7), TRADES[3]]
    for interval in ("1m", "15m", "1d"):
        page = read(client, f"{URL}?interval={interval}")
        assert plain(page) == expected(rows, LENGTHS[interval])
    store(ledger, 10, 5 * 3600, 710_000_000, 8)
    rows.append((5 * 3600, 710_000_000, 8))
    assert plain(read(client, f"{URL}?interval=1h")) == expected(rows, 3600)


@pytest.mark.usefixtures("_rows")
def test_side_of_no_mirrors_the_prices(client: Client) -> None:
    yes = read(client, f"{URL}?interval=1h")
    no = read(client, f"{URL}?interval=1h&side=no")
    assert (yes["side"], no["side"]) == ("yes", "no")
    assert no["previous_close"] == 10**9 - yes["previous_close"]
    for mine, other in zip(yes["candles"], no["candles"], strict=True):
        assert other["open"] + mine["open"] == 10**9
        assert other["close"] + mine["close"] == 10**9
        assert other["high"] + mine["low"] == 10**9
        assert other["low"] + mine["high"] == 10**9
        assert other["low"] <= other["high"]
        assert (other["volume"], other["time"]) == (mine["volume"], mine["time"])


@pytest.mark.usefixtures("_rows")
def test_filled_candles_have_no_gaps(client: Client) -> None:
    page = read(client, f"{URL}?interval=1m&fill=true&from={HOUR}&to={HOUR + 300}")
    found = plain(page)
    assert [one["time"] for one in found] == list(range(HOUR, HOUR + 300, 60))
    for one in found:
        if not one["trades"]:
            assert one["open"] == one["high"] == one["low"] == one["close"]
    closes = [HALF, *(one["close"] for one in found)]
    for one, before in zip(found, closes, strict=False):
        assert one["trades"] or one["close"] == before
    kept = [one for one in found if one["trades"]]
    assert kept == expected(TRADES[:3], 60)
    newest = read(client, f"{URL}?interval=1d&fill=true&limit=3")
    assert [one["trades"] for one in newest["candles"]] == [0, 0, 0]
    assert {one["close"] for one in newest["candles"]} == {300_000_000}
    day = newest["candles"][-1]["time"]
    assert newest["candles"][-1]["starts_at"][:10] == newest["as_of"][:10]
    assert [one["time"] for one in newest["candles"]] == [day - 2 * 86_400, day - 86_400, day]


@pytest.mark.usefixtures("_rows")
@pytest.mark.parametrize("fill", [False, True])
def test_pages_continue_with_older_candles(client: Client, fill: bool) -> None:
    query = f"interval=1m&fill={str(fill).lower()}&from={HOUR}&to={HOUR + 4 * 3600 + 60}"
    whole = read(client, f"{URL}?{query}&limit=1440")
    assert whole["next"] is None
    pages: list[Any] = []
    url = f"{URL}?{query}&limit={100 if fill else 2}"
    while url:
        answer = client.get(url)
        assert answer.status_code == 200, answer.text
        pages.insert(0, answer.json())
        link = answer.headers.get("link")
        assert (link is None) == (pages[0]["next"] is None)
        url = link.split(">")[0].lstrip("<") if link else ""
    assert [one for page in pages for one in page["candles"]] == whole["candles"]
    for earlier, later in pairwise(pages):
        assert later["previous_close"] == earlier["candles"][-1]["close"]
    cursor = read(client, f"{URL}?{query}&limit=1")["next"]
    other = client.get(f"{URL}?interval=5m&cursor={cursor}")
    assert (other.status_code, other.json()["details"][0]["field"]) == (400, "cursor")
