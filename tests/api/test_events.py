"""Event feeds: the ledger's events in the chain's order, each once over all pages."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine

from api.routes.events import EventName
from tests.api.recorded_ledger import store, two_markets
from tests.ledger.recorded_rpc import Recorder, address, identity
from zmart_pipelines.chain.program_logs import parse_logs
from zmart_pipelines.program.events import EVENT_TYPES, SharesBought, decode_event, event_name
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID

Client = TestClient[Litestar]
ONE, TWO = identity(1), identity(2)


@pytest.fixture
def chain(ledger: Engine) -> Recorder:
    return two_markets(ledger)


def expected(chain: Recorder) -> list[tuple[str, int, str]]:
    """Return signature, line and name of every event that counts, in the chain's order."""
    found = []
    for transaction in chain.transactions:
        if transaction.error is None:
            for line, payload in parse_logs(transaction.logs, str(DEFAULT_PROGRAM_ID)).payloads:
                found.append((transaction.signature_text, line, event_name(decode_event(payload))))
    return found


def shown(page: dict[str, Any]) -> list[tuple[str, int, str]]:
    return [(row["signature"], row["log_index"], row["type"]) for row in page["events"]]


def read(client: Client, url: str) -> Any:
    answer = client.get(url)
    assert answer.status_code == 200, answer.text
    return answer.json()


def walk(client: Client, url: str) -> list[dict[str, Any]]:
    """Return the rows of all pages."""
    rows: list[dict[str, Any]] = []
    following = url
    while True:
        page = read(client, following)
        rows += page["events"]
        if page["next"] is None:
            return rows
        assert len(page["events"]) == page["limit"]
        following = f"{url}&cursor={page['next']}"


def test_feed_is_in_chain_order_and_pages_show_each_event_once(
    client: Client, chain: Recorder
) -> None:
    events = expected(chain)
    assert shown(read(client, "/api/events?order=asc&limit=200")) == events
    assert shown(read(client, "/api/events?limit=200")) == events[::-1]
    for order, rows in (("asc", events), ("desc", events[::-1])):
        for limit in (1, 2, 5):
            pages = walk(client, f"/api/events?order={order}&limit={limit}")
            assert shown({"events": pages}) == rows
    assert shown(read(client, "/api/events?order=asc&limit=3&offset=4")) == events[4:7]


def test_walk_neither_repeats_nor_misses_while_events_arrive(
    client: Client, chain: Recorder, ledger: Engine
) -> None:
    before = expected(chain)
    rows: list[dict[str, Any]] = []
    url = "/api/events?limit=3"
    while True:
        page = read(client, url)
        rows += page["events"]
        if page["next"] is None:
            break
        url = f"/api/events?limit=3&cursor={page['next']}"
        chain.advance()
        store(ledger, [chain.buy(ONE, chain.users[1])], "reported")
    assert shown({"events": rows}) == before[::-1]


def test_feeds_of_a_market_and_of_a_wallet(client: Client, chain: Recorder) -> None:
    by_market = read(client, f"/api/markets/{ONE.hex()}/events?limit=200&order=asc")["events"]
    everything = read(client, "/api/events?limit=200&order=asc")["events"]
    assert by_market == [row for row in everything if row["market_id"] == ONE.hex()]
    assert (
        by_market
        == read(client, f"/api/markets/{address(ONE)}/events?limit=200&order=asc")["events"]
    )
    wallet = str(chain.users[1])
    by_wallet = read(client, f"/api/users/{wallet}/events?limit=200&order=asc")["events"]
    assert by_wallet == [row for row in everything if row["wallet"] == wallet]
    assert [row["type"] for row in by_wallet] == ["SharesBought"] * 3
    creator = read(client, f"/api/users/{chain.users[0]}/events?type=MarketCreated")["events"]
    assert [row["data"]["creator"] for row in creator] == [str(chain.users[0])] * 2
    assert read(client, f"/api/users/{chain.users[5]}/events")["events"] == []
    assert client.get(f"/api/markets/{'ee' * 32}/events").status_code == 404


def test_filters(client: Client, chain: Recorder) -> None:
    everything = read(client, "/api/events?limit=200&order=asc")["events"]

    def filtered(query: str) -> Any:
        return read(client, f"/api/events?limit=200&order=asc&{query}")["events"]

    for chosen in (
        {"SharesBought"},
        {"SharesBought", "MarketCreated", "MarketActivated"},
        {"DisputeInitiated", "MarketCreated"},
    ):
        query = "&".join(f"type={name}" for name in sorted(chosen))
        assert filtered(query) == [row for row in everything if row["type"] in chosen]
        rows = walk(client, f"/api/events?order=asc&limit=2&{query}")
        assert rows == [row for row in everything if row["type"] in chosen]
    for level, wanted in (
        ("reported", {"reported", "confirmed", "finalized"}),
        ("confirmed", {"confirmed", "finalized"}),
        ("finalized", {"finalized"}),
    ):
        rows = filtered(f"commitment={level}")
        assert rows == [row for row in everything if row["commitment"] in wanted]
        assert rows
    first, last = everything[3], everything[-3]
    assert filtered(f"from_slot={first['slot']}&to_slot={last['slot']}") == [
        row for row in everything if first["slot"] <= row["slot"] <= last["slot"]
    ]
    timed = [
        row for row in everything if first["block_time"] <= row["block_time"] < last["block_time"]
    ]
    assert 0 < len(timed) < len(everything)
    assert filtered(f"from={first['block_time']}&to={last['block_time']}") == timed
    seconds = {row["block_time"]: row["data"]["timestamp"] for row in everything}
    assert (
        filtered(f"from={seconds[first['block_time']]}&to={seconds[last['block_time']]}") == timed
    )
    assert filtered("from=2100-01-01T00:00:00Z") == filtered("to=1999-01-01T00:00:00Z") == []


def test_orphaned_events_are_listed_only_on_request(client: Client, chain: Recorder) -> None:
    counting = read(client, "/api/events?limit=200")["events"]
    assert {row["commitment"] for row in counting} == {"reported", "confirmed", "finalized"}
    rows = read(client, "/api/events?limit=200&include=orphaned")["events"]
    assert [row for row in rows if row["commitment"] != "orphaned"] == counting
    (false,) = [row for row in rows if row["commitment"] == "orphaned"]
    assert (false["wallet"], false["sources"]) == (str(chain.users[4]), ["webhook"])
    assert walk(client, "/api/events?limit=1&include=orphaned") == rows


def test_event_has_exact_values_and_its_origin(client: Client, chain: Recorder) -> None:
    row = read(client, f"/api/markets/{TWO.hex()}/events?type=SharesBought&limit=1")["events"][0]
    bought = chain.transactions[-2]
    event = decode_event(parse_logs(bought.logs, str(DEFAULT_PROGRAM_ID)).payloads[0][1])
    assert isinstance(event, SharesBought)
    assert row["signature"] == bought.signature_text
    assert row["data"] == {
        "market_id": TWO.hex(),
        "user": str(chain.users[2]),
        "outcome": True,
        "shares": event.shares,
        "cost": event.cost,
        "new_price_yes": event.new_price_yes,
        "timestamp": chain.now - 1,
    }
    assert row["exact"]["cost"] == str(event.cost)
    assert "outcome" not in row["exact"]
    assert row["id"] == f"{row['signature']}:{row['log_index']}"
    assert (row["commitment"], row["sources"]) == ("confirmed", ["confirmed_poll"])
    assert row["block_time"].endswith("Z")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("type=SharesMinted", "type"),
        ("order=up", "order"),
        ("commitment=processed", "commitment"),
        ("include=all", "include"),
        ("from=yesterday", "from"),
        ("to=2026-11-20T08:00:00", "to"),
        ("from_slot=-1", "from_slot"),
        ("cursor=nonsense", "cursor"),
        ("limit=201", "limit"),
    ],
)
def test_invalid_parameters_are_named(client: Client, query: str, field: str) -> None:
    answer = client.get(f"/api/events?{query}")
    assert answer.status_code == 400, answer.text
    assert [item["field"] for item in answer.json()["details"]] == [field]


def test_cursor_of_the_other_order_is_refused(client: Client, chain: Recorder) -> None:
    cursor = read(client, "/api/events?limit=1")["next"]
    assert chain.transactions
    assert client.get(f"/api/events?order=asc&cursor={cursor}").status_code == 400


def test_feeds_filter_by_exactly_the_programs_events() -> None:
    assert set(get_args(EventName)) == {event.__name__ for event in EVENT_TYPES}
