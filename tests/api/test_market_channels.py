"""Parts of a market, conflated prices, and paths that open a subscribed socket."""

from __future__ import annotations

from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from litestar.testing.websocket_test_session import WebSocketTestSession
from solders.pubkey import Pubkey
from sqlalchemy import Engine, update

from api.routes.live_updates import has_channel
from tests.api import seed
from zmart_pipelines.client_schemas.frames import market_state_frames
from zmart_pipelines.store import stream
from zmart_pipelines.store.queries import markets
from zmart_pipelines.store.stream import Frame, market_channel
from zmart_pipelines.store.tables import market as tables

MARKET = b"\xab" * 32
CHANNEL = market_channel(MARKET)
Client = TestClient[Litestar]
PATIENCE = 120.0


def append(ledger: Engine, *types: str) -> list[int]:
    """Append frames of these types."""
    with ledger.begin() as conn:
        return stream.append(conn, [Frame(CHANNEL, type_, {"type": type_}) for type_ in types])


def trade_up(ledger: Engine, count: int) -> list[int]:
    """Change the market's shares so many times; the positions of the states on its channel."""
    with ledger.begin() as conn:
        frames: list[Frame] = []
        for _ in range(count):
            shares = tables.markets.c.shares_yes
            conn.execute(update(tables.markets).values(shares_yes=shares + 1))
            row = markets.get(conn, MARKET)
            assert row is not None
            frames += market_state_frames(row, action="updated")
        return stream.append(conn, frames)[::2]


def receive(socket: WebSocketTestSession) -> dict[str, Any]:
    message: dict[str, Any] = socket.receive_json(timeout=PATIENCE)
    return message


def subscribe(socket: WebSocketTestSession, channel: str, **more: Any) -> dict[str, Any]:
    socket.send_json({"action": "subscribe", "channel": channel} | more)
    return receive(socket)


def test_a_part_has_the_frames_of_its_type_and_a_chain_of_its_own(
    client: Client, ledger: Engine
) -> None:
    first, *_ = append(ledger, "trade", "vote", "market_state")
    with client.websocket_connect("/ws") as socket:
        receive(socket)
        answer = subscribe(socket, f"{CHANNEL}:trades")
        assert (answer["type"], answer["seq"]) == ("subscribed", first)
        assert answer["data"]["message"] == f"Subscribed to {CHANNEL}:trades"
        assert answer["data"]["subscriptions"] == [f"{CHANNEL}:trades"]
        _, _, second, third = append(ledger, "vote", "discussion", "trade", "trade")
        frames = [receive(socket) for _ in range(2)]
        assert [(f["type"], f["seq"], f["prev"]) for f in frames] == [
            ("trade", second, first),
            ("trade", third, second),
        ]
        assert all(f["channel"] == f"{CHANNEL}:trades" for f in frames)
        assert all(f["market_id"] == MARKET.hex() for f in frames)
        socket.send_json({"action": "unsubscribe", "channel": f"{CHANNEL}:trades"})
        answer = receive(socket)
        assert (answer["type"], answer["data"]["subscriptions"]) == ("unsubscribed", [])


def test_a_part_continues_from_a_position_of_any_channel(client: Client, ledger: Engine) -> None:
    positions = append(ledger, "trade", "vote", "trade", "vote", "trade")
    with client.websocket_connect("/ws") as socket:
        receive(socket)
        answer = subscribe(socket, f"{CHANNEL}:trades", since=positions[1])
        assert "snapshot" not in answer["data"]
        frames = [receive(socket) for _ in range(2)]
    assert [(f["seq"], f["prev"]) for f in frames] == [
        (positions[2], positions[0]),
        (positions[4], positions[2]),
    ]


def test_a_frame_is_sent_once_on_each_of_its_channels(client: Client, ledger: Engine) -> None:
    with client.websocket_connect("/ws") as socket:
        receive(socket)
        for name in (CHANNEL, f"{CHANNEL}:votes", f"{CHANNEL}:trades"):
            subscribe(socket, name)
        (vote,) = append(ledger, "vote")
        (trade,) = append(ledger, "trade")
        frames = [receive(socket) for _ in range(4)]
    assert [(f["seq"], f["channel"]) for f in frames] == [
        (vote, CHANNEL),
        (vote, f"{CHANNEL}:votes"),
        (trade, CHANNEL),
        (trade, f"{CHANNEL}:trades"),
    ]


def test_prices_are_conflated_to_the_newest(client: Client, ledger: Engine) -> None:
    with ledger.begin() as conn:
        seed.market(conn, MARKET, shares_yes=2**60)
    with client.websocket_connect("/ws") as socket:
        receive(socket)
        answer = subscribe(socket, f"{CHANNEL}:prices")
        assert answer["data"]["snapshot"]["q_yes"] == 2**60
        newest = trade_up(ledger, 50)[-1]
        frames = [receive(socket)]
        while frames[-1]["seq"] < newest:
            frames.append(receive(socket))
    assert len(frames) < 50
    positions = [frame["seq"] for frame in frames]
    assert positions == sorted(set(positions))
    for frame in frames:
        assert (frame["type"], frame["channel"]) == ("prices", f"{CHANNEL}:prices")
        assert frame["conflated"] is True
        assert "prev" not in frame
    state = frames[-1]["data"]
    assert (state["q_yes"], state["exact"]["q_yes"]) == (2**60 + 50, str(2**60 + 50))
    assert state["price_yes"] + state["price_no"] == 10**9


def test_prices_since_a_position_are_the_newest_state_or_nothing(
    client: Client, ledger: Engine
) -> None:
    with ledger.begin() as conn:
        seed.market(conn, MARKET, shares_yes=5)
    first, *_, last = trade_up(ledger, 5)
    with client.websocket_connect("/ws") as socket:
        receive(socket)
        answer = subscribe(socket, f"{CHANNEL}:prices", since=first)
        assert "snapshot" not in answer["data"]
        frame = receive(socket)
        assert (frame["seq"], frame["data"]["q_yes"]) == (last, 10)
        subscribe(socket, f"{CHANNEL}:prices", since=last)
        socket.send_json({"action": "ping"})
        assert receive(socket)["type"] == "pong"


def test_channels_of_wallets_are_refused(client: Client) -> None:
    wallet = str(Pubkey.from_bytes(b"\x07" * 32))
    with client.websocket_connect("/ws") as socket:
        receive(socket)
        answer = subscribe(socket, f"wallet:{wallet}")
        assert answer["type"] == "error"
        assert answer["data"]["code"] in ("forbidden", "unauthorized")
        assert "wallet" in answer["data"]["error"]


def test_errors_have_a_code(client: Client) -> None:
    with client.websocket_connect("/ws") as socket:
        receive(socket)
        answer = subscribe(socket, "market:everything")
        assert answer["data"]["code"] == "invalid_field"
        assert answer["data"]["error"].startswith("channel: must be market:{id}")


@pytest.mark.parametrize(
    ("path", "channel", "type_"),
    [
        (f"/markets/{MARKET.hex()}", CHANNEL, "market_state"),
        (f"/markets/{seed.address_of(MARKET)}", CHANNEL, "market_state"),
        (f"/markets/{MARKET.hex()}/voting", f"{CHANNEL}:votes", "subscribed"),
        ("/alerts", "alerts", "subscribed"),
    ],
)
def test_paths_open_a_subscribed_socket(
    client: Client, ledger: Engine, path: str, channel: str, type_: str
) -> None:
    with ledger.begin() as conn:
        seed.market(conn, MARKET)
    with client.websocket_connect(path) as socket:
        assert receive(socket)["type"] == "welcome"
        answer = receive(socket)
        assert (answer["type"], answer["channel"], answer["seq"]) == (type_, channel, 0)
        subscribe(socket, "markets")
        (vote,) = append(ledger, "vote")
        if channel != "alerts":
            assert receive(socket)["seq"] == vote


def test_path_continues_from_a_position(client: Client, ledger: Engine) -> None:
    first, second = append(ledger, "vote", "vote")
    path = f"/markets/{MARKET.hex()}/voting"
    with client.websocket_connect(f"{path}?since={first}") as socket:
        receive(socket)
        assert "snapshot" not in receive(socket)["data"]
        assert receive(socket)["seq"] == second
    with client.websocket_connect(f"{path}?since=yesterday") as socket:
        receive(socket)
        answer = receive(socket)
        assert answer["type"] == "error"
        assert "since" in answer["data"]["error"]
        socket.send_json({"action": "ping"})
        assert receive(socket)["type"] == "pong"


def test_only_paths_of_channels_are_kept_on_the_second_port() -> None:
    kept = ("/markets/x", "/markets/x/voting", "/users/x/positions", "/alerts", "/alerts/")
    others = ("/", "/ws", "/markets", "/markets/x/y", "/users/x", "/alerts/x", "/x/alerts")
    assert all(map(has_channel, kept))
    assert not any(map(has_channel, others))
