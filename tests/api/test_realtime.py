"""The socket endpoint of the app in this process."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from litestar import Litestar
from litestar.exceptions import WebSocketDisconnect
from litestar.testing import TestClient
from litestar.testing.websocket_test_session import WebSocketTestSession
from sqlalchemy import Engine

from api.app import create_app
from api.database import Database
from api.realtime import address_budget, hub, protocol, start
from api.realtime.address_budget import AddressBudget, AddressBudgets, TokenBucket
from api.realtime.channels import MARKETS, of_market
from api.realtime.feed import Feed
from api.realtime.outgoing import Outgoing, json_message
from api.realtime.subscriber import MAX_QUEUE, Subscriber
from api.realtime.subscribers import Subscribers
from tests.api.seed import address_of, market
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store import stream
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.stream import Frame, market_channel

MARKET = b"\xab" * 32
CHANNEL = market_channel(MARKET)
Client = TestClient[Litestar]


def append_frames(ledger: Engine, *numbers: int, channel: str = CHANNEL) -> list[int]:
    """Append frames that carry these numbers."""
    with ledger.begin() as conn:
        return stream.append(conn, [Frame(channel, "trade", {"n": number}) for number in numbers])


def subscribe(socket: WebSocketTestSession, **command: Any) -> dict[str, Any]:
    """Subscribe; the acknowledgement."""
    socket.send_json({"action": "subscribe"} | command)
    answer: dict[str, Any] = socket.receive_json()
    return answer


def test_socket_greets_acknowledges_and_delivers_frames(client: Client, ledger: Engine) -> None:
    with client.websocket_connect("/ws") as socket:
        welcome = socket.receive_json()
        assert welcome["type"] == "welcome"
        assert "Connected to ZMART" in welcome["data"]["message"]
        ack = subscribe(socket, market_id=MARKET.hex())
        assert ack["type"] == "market_state"
        assert ack["data"]["message"] == f"Subscribed to market {MARKET.hex()}"
        assert ack["data"]["subscriptions"] == [MARKET.hex()]
        assert ack["seq"] == 0

        first, second = append_frames(ledger, 1, 2)
        frames = [socket.receive_json(timeout=30) for _ in range(2)]
        assert [(f["seq"], f["prev"], f["data"]["n"]) for f in frames] == [
            (first, 0, 1),
            (second, first, 2),
        ]
        assert frames[0]["type"] == "trade"
        assert frames[0]["market_id"] == MARKET.hex()
        assert frames[0]["channel"] == CHANNEL
        assert frames[0]["timestamp"]


def test_only_subscribed_channels_are_delivered(client: Client, ledger: Engine) -> None:
    with client.websocket_connect("/") as socket:
        socket.receive_json()
        subscribe(socket, market_id=MARKET.hex())
        subscribe(socket, channel="markets")
        append_frames(ledger, 1, channel=market_channel(b"\x01" * 32))
        append_frames(ledger, 2, channel="markets")
        assert socket.receive_json(timeout=30)["channel"] == "markets"
        socket.send_json({"action": "unsubscribe", "channel": "markets"})
        ack = socket.receive_json(timeout=30)
        assert ack["data"]["message"].startswith("Unsubscribed from")
        assert ack["data"]["subscriptions"] == [MARKET.hex()]
        append_frames(ledger, 3, channel="markets")
        append_frames(ledger, 4)
        assert socket.receive_json(timeout=30)["data"] == {"n": 4}


def test_since_replays_missed_frames(client: Client, ledger: Engine) -> None:
    positions = append_frames(ledger, *range(10))
    with client.websocket_connect("/") as socket:
        socket.receive_json()
        ack = subscribe(socket, market_id=MARKET.hex(), since=positions[3])
        assert ack["seq"] == positions[-1]
        missed = [socket.receive_json(timeout=30) for _ in range(6)]
        assert [f["seq"] for f in missed] == positions[4:]
        assert missed[0]["prev"] == positions[3]


def test_deleted_frames_reset_the_client(
    client: Client, ledger: Engine, api_settings: Settings
) -> None:
    positions = append_frames(ledger, *range(10))
    with client.websocket_connect("/") as socket:
        socket.receive_json()
        # Rows between what the client has and the oldest kept are gone.
        keeper = role_engine(Role.PIPELINES, api_settings.database_url.get_secret_value())
        with keeper.begin() as conn:
            stream.prune(conn, 2)
        keeper.dispose()
        subscribe(socket, market_id=MARKET.hex(), since=positions[3])
        reset = socket.receive_json(timeout=30)
        assert (reset["type"], reset["seq"]) == ("reset", positions[-1])
        (new,) = append_frames(ledger, 99)
        frame = socket.receive_json(timeout=30)
        assert (frame["seq"], frame["prev"]) == (new, positions[-1])


def test_too_many_missed_frames_reset_the_client(
    client: Client, ledger: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "MAX_REPLAY", 3)
    append_frames(ledger, *range(5))
    with client.websocket_connect("/") as socket:
        socket.receive_json()
        subscribe(socket, market_id=MARKET.hex(), since=0)
        assert socket.receive_json(timeout=30)["type"] == "reset"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "not valid JSON"),
        ("[]", "Invalid message format"),
        ("{}", "action"),
        ('{"action":"dance"}', "Unknown action"),
        ('{"action":"subscribe"}', "market_id: is required"),
        ('{"action":"subscribe","market_id":"x"}', "market_id"),
        ('{"action":"subscribe","market_id":5}', "market_id"),
        ('{"action":"subscribe","market_id":"' + "ab" * 32 + '","since":-1}', "since"),
        ('{"action":"subscribe","market_id":"' + "ab" * 32 + '","since":"x"}', "since"),
        ('{"action":"subscribe","market_id":"a\\u0000b"}', "NUL"),
        ("[" * 10000, "nested"),
    ],
)
def test_invalid_message_is_answered_with_an_error(client: Client, text: str, part: str) -> None:
    with client.websocket_connect("/") as socket:
        socket.receive_json()
        socket.send_text(text)
        answer = socket.receive_json(timeout=30)
        assert answer["type"] == "error"
        assert part in answer["data"]["error"]
        socket.send_json({"action": "ping"})
        assert socket.receive_json(timeout=30)["type"] == "pong"


def test_acknowledgements_hold_the_current_prices(client: Client, ledger: Engine) -> None:
    """Older clients take every ``market_state`` for prices; without any they show zeros."""
    with ledger.begin() as conn:
        market(conn, MARKET, price_yes=620_000_000, shares_yes=2**60, shares_no=5)
    with client.websocket_connect("/") as socket:
        socket.receive_json()
        subscribed = subscribe(socket, market_id=MARKET.hex())
        socket.send_json({"action": "unsubscribe", "market_id": MARKET.hex()})
        for ack in (subscribed, socket.receive_json(timeout=30)):
            data = ack["data"]
            assert (data["priceYes"], data["priceNo"]) == (0.62, 0.38)
            assert (data["totalShares"], data["exact"]) == (
                2**60 + 5,
                {"totalShares": str(2**60 + 5)},
            )
        for other in ({"market_id": "ee" * 32}, {"channel": "markets"}):
            assert "priceYes" not in subscribe(socket, **other)["data"]


def test_market_may_be_subscribed_to_by_address(client: Client, ledger: Engine) -> None:
    with ledger.begin() as conn:
        market(conn, MARKET)
    with client.websocket_connect("/") as socket:
        socket.receive_json()
        ack = subscribe(socket, market_id=address_of(MARKET))
        assert ack["channel"] == CHANNEL


def test_subscriptions_and_messages_are_limited(client: Client, api_settings: Settings) -> None:
    subscriptions = api_settings.ws_subscriptions
    with client.websocket_connect("/") as socket:
        socket.receive_json()
        for number in range(api_settings.ws_messages_per_minute):
            socket.send_json({"action": "ping", "number": number})
            socket.receive_json(timeout=30)
        socket.send_json({"action": "ping"})
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json(timeout=30)
        assert closed.value.code == protocol.CLOSE_POLICY

    with client.websocket_connect("/") as socket:
        socket.receive_json()
        for number in range(subscriptions):
            answer = subscribe(socket, market_id=number.to_bytes(32, "big").hex())
        assert len(answer["data"]["subscriptions"]) == subscriptions
        answer = subscribe(socket, market_id="ff" * 32)
        assert answer["type"] == "error"
        assert str(subscriptions) in answer["data"]["error"]


def test_origin_and_number_of_sockets_are_limited(api_settings: Settings) -> None:
    settings = api_settings.model_copy(update={"ws_connections_per_ip": 2})
    with TestClient(create_app(settings)) as client:
        with (
            client.websocket_connect("/", headers={"Origin": "https://evil.example"}) as socket,
            pytest.raises(WebSocketDisconnect) as closed,
        ):
            socket.receive_json(timeout=30)
        assert closed.value.code == protocol.CLOSE_POLICY
        own = {"Origin": settings.origins[0]}
        with client.websocket_connect("/", headers=own) as one:
            assert one.receive_json()["type"] == "welcome"
            with client.websocket_connect("/") as two:
                assert two.receive_json()["type"] == "welcome"
                with (
                    client.websocket_connect("/") as three,
                    pytest.raises(WebSocketDisconnect) as closed,
                ):
                    three.receive_json(timeout=30)
                assert closed.value.code == protocol.CLOSE_TOO_MANY
            time.sleep(0.2)
            with client.websocket_connect("/") as again:
                assert again.receive_json()["type"] == "welcome"


def message(text: str) -> Outgoing:
    return json_message("trade", text.encode())


def has_overflowed(subscriber: Subscriber) -> bool:
    return subscriber.has_overflowed


def test_subscriber_holds_frames_until_missed_ones_are_sent() -> None:
    subscriber = Subscriber(1 << 20)
    subscriber.subscribe("c")
    for position in (5, 6, 7):
        subscriber.deliver("c", position, message(str(position)))
    subscriber.resume({"c": 5})
    subscriber.deliver("c", 7, message("7 again"))
    subscriber.deliver("c", 8, message("8"))
    assert [one.text for one in subscriber._queue] == ["6", "7", "8"]


def test_a_subscriber_that_does_not_read_is_overflowed() -> None:
    subscriber = Subscriber(1 << 20)
    subscriber.subscribe("c")
    subscriber.resume({"c": 0})
    for position in range(1, MAX_QUEUE + 2):
        subscriber.deliver("c", position, message("x"))
    assert has_overflowed(subscriber)
    assert not subscriber.channels
    assert not subscriber._queue


def test_a_subscriber_with_too_many_unread_bytes_is_overflowed() -> None:
    async def scenario() -> None:
        subscriber = Subscriber(14)  # two frames with five letters
        subscriber.push(message("a message larger than all that may wait"))
        assert not has_overflowed(subscriber)
        assert await subscriber.next()
        await subscriber.drained()
        subscriber.subscribe("c")
        subscriber.deliver("c", 1, message("12345"))
        subscriber.resume({"c": 0})
        subscriber.deliver("c", 2, message("67890"))
        assert not has_overflowed(subscriber)
        subscriber.subscribe("d")
        subscriber.deliver("d", 3, message("x"))
        assert has_overflowed(subscriber)
        await subscriber.drained()

    asyncio.run(scenario())


def test_replay_over_several_pages_is_gapless(
    client: Client, ledger: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with frames that arrive between the pages and frames of another channel."""
    monkeypatch.setattr(hub, "REPLAY_PAGE", 4)
    positions = append_frames(ledger, *range(20))
    append_frames(ledger, *range(5), channel="markets")
    missed = hub.Hub.missed

    async def slow(self: hub.Hub, channels: Any, since: int, heads: Any) -> Any:
        positions.extend(await asyncio.to_thread(append_frames, ledger, len(positions)))
        return await missed(self, channels, since, heads)

    monkeypatch.setattr(hub.Hub, "missed", slow)
    with client.websocket_connect("/") as socket:
        socket.receive_json()
        subscribe(socket, market_id=MARKET.hex(), since=positions[0])
        frames = [socket.receive_json(timeout=30) for _ in range(24)]
    assert [frame["type"] for frame in frames] == ["trade"] * 24
    assert [frame["data"]["n"] for frame in frames] == list(range(1, 25))
    assert [frame["prev"] for frame in frames] == positions[:24]


def test_missed_frames_of_an_address_are_limited(api_settings: Settings, ledger: Engine) -> None:
    """Over the budget the client gets a reset, rereads the tables and continues without a gap."""
    positions = append_frames(ledger, *range(20))
    settings = api_settings.model_copy(update={"ws_replay_bytes_per_minute": 2000})
    with TestClient(create_app(settings)) as client:
        for expected in ("trade", "reset"):  # another socket has the same budget
            with client.websocket_connect("/") as socket:
                socket.receive_json()
                subscribe(socket, market_id=MARKET.hex(), since=0)
                assert socket.receive_json(timeout=30)["type"] == expected
        with client.websocket_connect("/") as socket:
            socket.receive_json()
            subscribe(socket, market_id=MARKET.hex(), since=0)
            reset = socket.receive_json(timeout=30)
            assert (reset["data"]["reason"], reset["seq"]) == ("too_much", positions[-1])
            (new,) = append_frames(ledger, 99)
            frame = socket.receive_json(timeout=30)
            assert (frame["seq"], frame["prev"]) == (new, positions[-1])


def test_budget_counts_every_frame_of_a_page(api_settings: Settings, ledger: Engine) -> None:
    """What refills while clients ask on and on is not worth a page each time."""
    append_frames(ledger, *range(40))
    now, limit, seconds = 0.0, 3000, 60
    budget = AddressBudget(1000, limit)
    budget.replayed_bytes = TokenBucket(limit, lambda: now)

    async def scenario() -> int:
        nonlocal now
        database = Database(api_settings)
        idle = hub.Hub(database, api_settings)
        replayed = 0
        for _ in range(seconds):
            now += 1.0
            subscriber = Subscriber(1 << 20)
            feed = Feed(idle, subscriber, budget)
            begins = start.Start(heads={CHANNEL: 40}, head=40)
            sending = asyncio.create_task(feed._send_missed([of_market(MARKET)], 0, begins))
            while not sending.done():
                await asyncio.sleep(0.001)
                while subscriber._queue:
                    replayed += len(await subscriber.next() or "")
        database.close()
        return replayed

    page = 40 * 300
    assert 0 < asyncio.run(scenario()) <= 2 * limit + page


def test_messages_of_an_address_are_limited_over_all_its_sockets(api_settings: Settings) -> None:
    settings = api_settings.model_copy(
        update={"ws_messages_per_minute": 4, "ws_connections_per_ip": 2}
    )
    with TestClient(create_app(settings)) as client:
        codes = []
        for _ in range(3):
            with client.websocket_connect("/") as socket:
                try:
                    socket.receive_json(timeout=30)
                    for _ in range(3):
                        socket.send_json({"action": "ping"})
                        socket.receive_json(timeout=30)
                    codes.append(0)
                except WebSocketDisconnect as closed:
                    codes.append(closed.code)
    assert codes == [0, 0, protocol.CLOSE_TOO_MANY]


def test_budget_refills_within_a_minute_and_bears_a_debt() -> None:
    now = [0.0]
    bucket = TokenBucket(60, lambda: now[0])
    assert bucket.take(90)
    assert not bucket.take(1)
    now[0] += 30
    assert not bucket.take(0)
    now[0] += 2
    assert bucket.take(1)
    now[0] += 1000
    for _ in range(4):  # what was sent counts, whatever is left
        bucket.spend(30)
    now[0] += 59
    assert bucket.is_empty()
    now[0] += 2
    assert not bucket.is_empty()


def test_budgets_of_addresses_not_seen_lately_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(address_budget, "MAX_ADDRESSES", 2)
    budgets = AddressBudgets(10, 10)
    first, second = budgets.of("a"), budgets.of("b")
    assert budgets.of("a") is first
    budgets.of("c")
    assert budgets.of("a") is first
    assert budgets.of("b") is not second


def test_closing_a_socket_forgets_its_subscriptions_and_no_others(api_settings: Settings) -> None:
    async def scenario() -> None:
        database = Database(api_settings)
        idle = hub.Hub(database, api_settings)
        one, other = Subscriber(10), Subscriber(10)
        for subscriber in (one, other):
            await idle.subscribe(subscriber, [of_market(MARKET), MARKETS], None)
        one.push(message("1234567890"))
        one.push(message("1"))
        assert not one.channels, "an overflowed subscriber has forgotten them itself"
        idle.unsubscribe_all(one)
        for channel in (of_market(MARKET), MARKETS):
            assert set(idle._subscribers.of(channel)) == {other}
        idle.unsubscribe_all(other)
        assert not idle.has_subscribers(MARKETS)
        assert vars(idle._subscribers) == vars(Subscribers()), "nothing is left behind"
        database.close()

    asyncio.run(scenario())


def test_socket_subscribed_before_the_first_poll_misses_nothing(
    api_settings: Settings, ledger: Engine
) -> None:
    async def scenario() -> Outgoing | None:
        database = Database(api_settings)
        idle = hub.Hub(database, api_settings)
        subscriber = Subscriber(1 << 20)
        begun = await idle.subscribe(subscriber, [of_market(MARKET)], None)
        subscriber.resume(begun.heads)
        await asyncio.to_thread(append_frames, ledger, 1)
        async with asyncio.timeout(60), idle.running():
            first = await subscriber.next()
        database.close()
        return first

    first = asyncio.run(scenario())
    assert first is not None
    assert json.loads(first.text)["data"] == {"n": 1}
