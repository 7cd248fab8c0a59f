"""The live updates by long poll, and what both transports of plain HTTP refuse."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine

from api.app import create_app
from tests.api import seed
from tests.api.conftest import settings_for
from tests.api.seed import address_of
from tests.api.signing_in import session_of
from tests.api.test_market_channels import trade_up
from zmart_pipelines.proofs import service_keys
from zmart_pipelines.runtime.ports import unused_port
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store import stream
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import api_keys
from zmart_pipelines.store.stream import (
    ALERTS_CHANNEL,
    OPERATOR_ALERTS_CHANNEL,
    Frame,
    market_channel,
    wallet_channel,
)

MARKET, OTHER = b"\xab" * 32, b"\xcd" * 32
CHANNEL, TRADES = market_channel(MARKET), f"{market_channel(MARKET)}:trades"
PRICES = f"{CHANNEL}:prices"
ALERTS = (ALERTS_CHANNEL, OPERATOR_ALERTS_CHANNEL)
Client = TestClient[Litestar]


def append_frames(
    ledger: Engine, *numbers: int, market: bytes = MARKET, type_: str = "trade"
) -> list[int]:
    """Append frames that carry these numbers."""
    with ledger.begin() as conn:
        frames = [Frame(market_channel(market), type_, {"n": number}) for number in numbers]
        return stream.append(conn, frames)


def page(client: Client, **query: Any) -> dict[str, Any]:
    """Poll once."""
    answer = client.get("/api/stream", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def numbers(found: dict[str, Any]) -> list[int]:
    return [frame["data"]["n"] for frame in found["frames"]]


def test_first_page_has_the_state_of_each_channel(client: Client, ledger: Engine) -> None:
    with ledger.begin() as conn:
        seed.market(conn, MARKET)
    (head,) = append_frames(ledger, 1)
    found = page(client, channel=[CHANNEL, "markets"])
    assert found["frames"] == []
    assert found["next"] >= head
    by_channel = {one["channel"]: one for one in found["subscribed"]}
    assert list(by_channel) == [CHANNEL, "markets"]
    assert by_channel[CHANNEL]["type"] == "subscribed"
    assert by_channel[CHANNEL]["seq"] == head
    assert by_channel[CHANNEL]["data"]["snapshot"]["market"]["id"] == MARKET.hex()
    assert by_channel["markets"]["data"]["snapshot"]["count"] == 1


def test_pages_follow_each_other_in_one_order_without_gap(client: Client, ledger: Engine) -> None:
    append_frames(ledger, 0)
    channels = [CHANNEL, market_channel(OTHER)]
    position = page(client, channel=channels)["next"]
    expected: list[int] = []
    received: list[int] = []
    for number in range(1, 13):
        append_frames(ledger, number, market=(MARKET, OTHER)[number % 2])
        expected.append(number)
        while number % 3 == 0 and len(received) < number:
            found = page(client, channel=channels, after=position, wait=25)
            assert "subscribed" not in found
            received += numbers(found)
            position = found["next"]
            assert position >= found["frames"][-1]["seq"]
    assert received == expected
    assert page(client, channel=CHANNEL, since=position)["frames"] == []


def test_position_moves_on_while_the_channels_are_quiet(client: Client, ledger: Engine) -> None:
    position = page(client, channel=CHANNEL)["next"]
    (other,) = append_frames(ledger, 1, market=OTHER)
    deadline = time.monotonic() + 60
    while position < other:
        assert time.monotonic() < deadline
        position = page(client, channel=CHANNEL, after=position)["next"]
    append_frames(ledger, 2)
    assert numbers(page(client, channel=CHANNEL, after=position, wait=25)) == [2]


def test_a_poll_waits_for_the_first_frame(client: Client, ledger: Engine) -> None:
    position = page(client, channel=CHANNEL)["next"]
    found: list[dict[str, Any]] = []
    waiting = threading.Thread(
        target=lambda: found.append(page(client, channel=CHANNEL, after=position, wait=25))
    )
    waiting.start()
    append_frames(ledger, 7)
    waiting.join(60)
    assert numbers(found[0]) == [7]


def test_page_has_the_newest_prices_up_to_its_end(client: Client, ledger: Engine) -> None:
    with ledger.begin() as conn:
        seed.market(conn, MARKET, shares_yes=5)
    found = page(client, channel=[CHANNEL, PRICES])
    timer = threading.Timer(0.5, trade_up, (ledger, 5))
    timer.start()
    found = page(client, channel=[CHANNEL, PRICES], after=found["next"], wait=20)
    timer.join()
    prices = [frame for frame in found["frames"] if frame["channel"] == PRICES]
    assert found["frames"][-1] == prices[-1]
    assert (prices[-1]["seq"], prices[-1]["data"]["q_yes"]) == (found["next"] - 1, 10)


def test_a_frame_of_two_channels_comes_on_both(client: Client, ledger: Engine) -> None:
    position = page(client, channel=[CHANNEL, TRADES])["next"]
    (one,) = append_frames(ledger, 1)
    append_frames(ledger, 2, type_="vote")
    found = page(client, channel=[CHANNEL, TRADES], after=position)
    assert [(frame["channel"], frame["data"]["n"]) for frame in found["frames"]] == [
        (CHANNEL, 1),
        (TRADES, 1),
        (CHANNEL, 2),
    ]
    assert [frame["seq"] for frame in found["frames"]][:2] == [one, one]


def test_filters_name_the_channels(client: Client, ledger: Engine) -> None:
    with ledger.begin() as conn:
        seed.market(conn, MARKET)
    for number, type_ in enumerate(["trade", "vote", "discussion"]):
        append_frames(ledger, number, type_=type_)
    append_frames(ledger, 9, market=OTHER)
    by_address = {"market": address_of(MARKET), "after": 0}
    assert numbers(page(client, **by_address)) == [0, 1, 2]
    assert numbers(page(client, **by_address, type=["vote", "discussion"])) == [1, 2]
    assert numbers(page(client, **by_address, type="trade", channel=market_channel(OTHER))) == [
        0,
        9,
    ]


def test_missed_frames_that_are_gone_are_replaced_by_the_state(
    client: Client, ledger: Engine, api_settings: Settings
) -> None:
    positions = append_frames(ledger, *range(10))
    keeper = role_engine(Role.PIPELINES, api_settings.database_url.get_secret_value())
    with keeper.begin() as conn:
        stream.prune(conn, 2)
    keeper.dispose()
    found = page(client, channel=[CHANNEL, TRADES], after=positions[0], wait=25)
    assert [(one["channel"], one["data"]["reason"]) for one in found["reset"]] == [
        (CHANNEL, "too_old"),
        (TRADES, "too_old"),
    ]
    assert all("snapshot" in one["data"] for one in found["reset"])
    assert found["frames"] == []
    assert found["next"] >= positions[-1]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "channel"),
        ("channel=nothing", "channel"),
        ("channel=markets&type=trade", "type"),
        (f"market={MARKET.hex()}&type=SharesBought", "type"),
        ("market=x", "market"),
        ("wallet=x", "wallet"),
        ("channel=markets&since=1&after=1", "after"),
        ("channel=markets&after=-1", "after"),
        ("channel=markets&wait=26", "wait"),
        ("channel=markets&page=1", "page"),
        ("&".join(["channel=markets"] * 21), "channel"),
    ],
)
def test_what_is_invalid_is_named(client: Client, query: str, field: str) -> None:
    for accept in ("application/json", "text/event-stream"):
        answer = client.get(f"/api/stream?{query}", headers={"Accept": accept})
        assert answer.status_code == 400, answer.text
        assert field in [item["field"] for item in answer.json()["details"]]


def test_invalid_event_id_is_named(client: Client) -> None:
    answer = client.get("/api/stream?channel=markets", headers={"Last-Event-ID": "x"})
    assert answer.status_code == 400
    assert [item["field"] for item in answer.json()["details"]] == ["Last-Event-ID"]


def test_wallet_polls_its_own_channel(client: Client, ledger: Engine) -> None:
    wallet = seed.wallet(1)
    signed_in = session_of(client, wallet)
    channel = wallet_channel(bytes(wallet.pubkey()))
    with ledger.begin() as conn:
        stream.append(conn, [Frame(channel, "claim", {"n": 1})])
    for query in ({"wallet": str(wallet.pubkey())}, {"channel": channel}):
        answer = client.get("/api/stream", params=query | {"after": "0"}, headers=signed_in)
        assert numbers(answer.json()) == [1]


def test_operators_poll_all_alerts(client: Client, ledger: Engine, owner: Engine) -> None:
    with ledger.begin() as conn:
        frames = [Frame(name, "alert", {"n": number}) for number, name in enumerate(ALERTS)]
        stream.append(conn, frames)
    assert _own_alerts(page(client, channel="alerts", after=0)) == [("alerts", 0)]
    key = service_keys.new_key()
    with owner.begin() as conn:
        api_keys.create_key(
            conn,
            name="desk",
            prefix=key[: service_keys.SHOWN],
            key_hash=service_keys.key_hash(key),
            scopes=[service_keys.OPERATOR],
        )
    answer = client.get("/api/stream?channel=alerts&after=0", headers={"X-Api-Key": key})
    assert _own_alerts(answer.json()) == [("alerts", 1)]


def _own_alerts(found: dict[str, Any]) -> list[tuple[str, int]]:
    """The alerts of this test; the process has alerts as well."""
    return [(one["channel"], one["data"]["n"]) for one in found["frames"] if "n" in one["data"]]


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_channel_of_a_wallet_is_its_own_alone(client: Client, accept: str) -> None:
    owner, other = seed.wallet(1), seed.wallet(2)
    path = f"/api/stream?wallet={owner.pubkey()}"
    headers = {"Accept": accept}
    assert client.get(path, headers=headers).status_code == 401
    signed_in = session_of(client, other)
    assert client.get(path, headers=headers | signed_in).status_code == 403


def test_events_after_a_position_are_those_of_the_stream(client: Client, ledger: Engine) -> None:
    append_frames(ledger, 5)
    query = f"after=0&market={MARKET.hex()}&type=trade"
    answer = client.get(f"/api/events?{query}", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, f"/api/stream?{query}")
    assert numbers(client.get(f"/api/events?{query}").json()) == [5]
    assert client.get("/api/events?before=1").status_code == 400
    assert client.get("/api/events").json()["events"] == []


def test_answers_are_not_stored(client: Client) -> None:
    answer = client.get("/api/stream?channel=markets")
    assert answer.headers["cache-control"] == "no-store"


def test_polls_count_as_sockets_of_their_address(api_settings: Settings) -> None:
    settings = api_settings.model_copy(update={"ws_connections_per_ip": 1})
    with TestClient(create_app(settings)) as client:
        with client.websocket_connect("/ws") as socket:
            socket.receive_json()
            for accept in ("application/json", "text/event-stream"):
                answer = client.get("/api/stream?channel=markets", headers={"Accept": accept})
                assert answer.status_code == 429
                assert "sockets" in answer.json()["message"]
                assert answer.headers["retry-after"]
        deadline = time.monotonic() + 60
        while client.get("/api/stream?channel=markets").status_code == 429:
            assert time.monotonic() < deadline
        origin = {"Origin": "https://elsewhere.example"}
        assert client.get("/api/stream?channel=markets", headers=origin).status_code == 403


def test_connections_of_an_address_are_limited_in_a_minute(api_settings: Settings) -> None:
    limits = {"ws_connections_per_ip": 1, "ws_messages_per_minute": 3}
    with TestClient(create_app(api_settings.model_copy(update=limits))) as client:
        # What comes back meanwhile is less than one in 20 s.
        statuses = [client.get("/api/stream?channel=markets").status_code for _ in range(20)]
    assert statuses[:3] == [200] * 3
    assert 429 in statuses


def test_missed_frames_of_an_address_are_limited(api_settings: Settings, ledger: Engine) -> None:
    positions = append_frames(ledger, *range(20))
    settings = api_settings.model_copy(update={"ws_replay_bytes_per_minute": 2000})
    with TestClient(create_app(settings)) as client:
        assert numbers(page(client, channel=CHANNEL, after=0)) == list(range(20))
        found = page(client, channel=CHANNEL, after=0)
        assert [one["data"]["reason"] for one in found["reset"]] == ["too_much"]
        assert found["next"] >= positions[-1]


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_without_the_database_the_answer_is_a_503(
    redis_url: str, tmp_path: Path, accept: str
) -> None:
    away = f"postgresql://127.0.0.1:{unused_port()}/none"
    settings = settings_for(away, redis_url, tmp_path).model_copy(
        update={"api_database_seconds": 1.0}
    )
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        answer = client.get("/api/stream?channel=markets", headers={"Accept": accept})
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert answer.headers["retry-after"]
