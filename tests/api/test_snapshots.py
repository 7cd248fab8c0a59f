"""A snapshot and the frames after its position lead to what REST returns."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from litestar.testing.websocket_test_session import WebSocketTestSession
from sqlalchemy import Engine, update

from api.realtime import channels
from api.realtime.channels import MARKETS, Channel
from tests.api import seed
from tests.api.wallets import proof, signed
from tests.ledger.recorded_rpc import PROGRAM, Recorder
from zmart_pipelines.client_schemas.frames import market_state_frames
from zmart_pipelines.ledger.ingest.writer import ingest
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.store import stream, stream_sources
from zmart_pipelines.store.queries import markets
from zmart_pipelines.store.stream import Frame
from zmart_pipelines.store.tables import market as tables

Client = TestClient[Litestar]
Json = dict[str, Any]
PATIENCE = 120.0
STEPS = 70
# A market that is not in the history: it is voted on by ballots and talked about.
DISCUSSED = b"\x10" * 32
PARTS = ("state", "trades", "votes", "discussion")
# What the frames of a market's state do not say: these change without one.
UNTOLD = {"updated_at", "question", "description", "category", "tags", "ends_at", "end_date"}
RUNNING_COUNTS = {"proposal_likes", "proposal_dislikes", "dispute_agree", "dispute_disagree"}


class Model:
    """What a client knows of a market: a snapshot of REST, changed by each frame."""

    def __init__(self) -> None:
        self.market: Json = {}
        self.trades: dict[str, Json] = {}
        self.trade_count = 0
        self.votes: dict[str, tuple[int, int]] = {}
        self.threads: dict[str, Json] = {}

    def begin(self, part: str, snapshot: Any) -> None:
        """Take over a snapshot of a part of the market."""
        if part == "state":
            self.market = snapshot or {}
        elif part == "trades":
            self.trades = {trade["id"]: trade for trade in snapshot["trades"]}
            self.trade_count = snapshot["total"]
        elif part == "votes":
            for kind in ("proposal", "dispute"):
                counts = snapshot[f"{kind}_votes"]
                self.votes[kind] = (counts["likes"], counts["dislikes"])
        else:
            self.threads = {one["id"]: one for one in snapshot["discussions"]}

    def apply(self, type_: str, data: Json) -> None:
        """Take over a frame."""
        if type_ == "market_state":
            self.market = self.market | data["market"]
        elif type_ == "trade":
            self.trades[data["id"]] = data
            self.trade_count += 1
        elif type_ == "vote":
            self.votes[data["vote_type"]] = (data["votes_for"], data["votes_against"])
        else:
            comment = data["discussion"]
            self.threads[comment["id"]] = comment
            if comment["is_deleted"]:
                del self.threads[comment["id"]]


class Follower:
    """A client of one channel."""

    def __init__(self, client: Client, channel: Channel) -> None:
        self.channel = channel
        self.last = 0
        self.models: dict[str, Model] = {}
        self._client = client
        self._stack = ExitStack()
        self._socket: WebSocketTestSession
        self._open(None)

    def _open(self, since: int | None) -> None:
        self._socket = self._stack.enter_context(self._client.websocket_connect("/ws"))
        assert self._socket.receive_json(timeout=PATIENCE)["type"] == "welcome"
        command = {"action": "subscribe", "channel": self.channel.name}
        self._socket.send_json(command if since is None else command | {"since": since})
        answer = self._socket.receive_json(timeout=PATIENCE)
        assert ("snapshot" in answer["data"]) is (since is None)
        if since is None:
            self.last = answer["seq"]
            self._begin(answer["data"]["snapshot"])

    def _begin(self, snapshot: Any) -> None:
        if self.channel == MARKETS:
            for market in snapshot["markets"]:
                self._model(market["id"]).begin("state", market)
            return
        assert self.channel.market_id is not None
        model = self._model(self.channel.market_id.hex())
        if self.channel.part is not None:
            model.begin(self.channel.part, snapshot)
            return
        for part in PARTS:
            model.begin(part, snapshot["market" if part == "state" else part])

    def _model(self, market: str) -> Model:
        return self.models.setdefault(market, Model())

    def read_until(self, head: int) -> None:
        """Take over the frames up to a position."""
        while self.last < head:
            frame = self._socket.receive_json(timeout=PATIENCE)
            assert frame["prev"] <= self.last < frame["seq"]
            self._model(frame["data"].get("market_id")).apply(frame["type"], frame["data"])
            self.last = frame["seq"]

    def reconnect(self) -> None:
        """Lose the socket, and continue with another one."""
        self.close()
        self._open(self.last)

    def close(self) -> None:
        self._stack.close()


class Happenings:
    """Random changes of all kinds, each with its frames."""

    def __init__(self, client: Client, ledger: Engine, dice: random.Random) -> None:
        self._client, self._ledger, self._dice = client, ledger, dice
        self.chain = Recorder()
        self._ingested = 0
        self._comments: list[str] = []
        self._voters = iter(range(100, 200))
        with ledger.begin() as conn:
            seed.market(conn, DISCUSSED, state=0)

    def happen(self) -> None:
        what: Callable[[], None] = self._dice.choice(
            (self._transact, self._transact, self._transact, self._vote, self._comment, self._edit)
        )
        what()

    @property
    def markets(self) -> list[bytes]:
        return [DISCUSSED, *self.chain.market_ids]

    def _transact(self) -> None:
        for _ in range(self._dice.randint(1, 4)):
            self.chain.random_step(self._dice)
        new = self.chain.transactions[self._ingested :]
        self._ingested = len(self.chain.transactions)
        with self._ledger.begin() as conn:
            ingest(
                conn,
                new,
                source=Source.BACKFILL,
                commitment=Commitment.FINALIZED,
                program=PROGRAM,
            )

    def _vote(self) -> None:
        word = self._dice.choice(("like", "dislike"))
        path = f"/api/votes/proposal/{DISCUSSED.hex()}/message?vote={word}"
        message = self._client.get(path).json()["message"]
        body = {"market_id": DISCUSSED.hex(), "vote": word == "like"}
        voter = seed.wallet(next(self._voters))
        answer = self._client.post("/api/votes/proposal", json=body | proof(voter, message))
        assert answer.status_code == 201, answer.text

    def _comment(self) -> None:
        body = {"market_id": DISCUSSED.hex(), "content": f"Comment {len(self._comments)}."}
        body = signed(self._client, seed.wallet(1), "/api/discussions", body)
        answer = self._client.post("/api/discussions", json=body)
        assert answer.status_code == 201, answer.text
        self._comments.append(answer.json()["discussion"]["id"])

    def _edit(self) -> None:
        """Delete a comment: what becomes of one is edited as often as it is deleted."""
        if not self._comments:
            return
        path = f"/api/discussions/{self._comments.pop()}"
        body = signed(self._client, seed.wallet(1), path)
        answer = self._client.request("DELETE", path, json=body)
        assert answer.status_code == 200, answer.text


def check(client: Client, follower: Follower) -> None:
    """The follower knows what REST returns."""
    for market, model in follower.models.items():
        parts = ("state",) if follower.channel == MARKETS else (follower.channel.part,)
        for part in PARTS if parts == (None,) else parts:
            CHECKS[str(part)](client, market, model)


def check_state(client: Client, market: str, model: Model) -> None:
    shown = client.get(f"/api/markets/{market}").json()
    ignored = UNTOLD | (RUNNING_COUNTS if market == DISCUSSED.hex() else set())
    assert {k: v for k, v in model.market.items() if k not in ignored} == {
        k: v for k, v in shown.items() if k not in ignored
    }


def check_trades(client: Client, market: str, model: Model) -> None:
    shown = client.get(f"/api/markets/{market}/trades").json()
    assert model.trade_count == shown["total"]
    for trade in shown["trades"]:
        assert model.trades[trade["id"]].items() >= trade.items()


def check_votes(client: Client, market: str, model: Model) -> None:
    shown = client.get(f"/api/votes/{market}").json()
    for kind in ("proposal", "dispute"):
        counts = shown[f"{kind}_votes"]
        assert model.votes[kind] == (counts["likes"], counts["dislikes"])


def check_discussion(client: Client, market: str, model: Model) -> None:
    shown = client.get(f"/api/discussions/{market}").json()
    assert shown["total"] <= 50
    assert model.threads == {comment["id"]: comment for comment in shown["discussions"]}


CHECKS: dict[str, Callable[[Client, str, Model], None]] = {
    "state": check_state,
    "trades": check_trades,
    "votes": check_votes,
    "discussion": check_discussion,
}


@pytest.fixture
def followers() -> Iterator[list[Follower]]:
    """Clients that are disconnected at the end."""
    made: list[Follower] = []
    yield made
    for follower in made:
        follower.close()


@pytest.mark.parametrize("number", range(3))
def test_snapshot_and_frames_lead_to_what_rest_returns(
    client: Client, ledger: Engine, followers: list[Follower], number: int
) -> None:
    dice = random.Random(number)
    world = Happenings(client, ledger, dice)
    for _ in range(STEPS):
        world.happen()
        if dice.random() < 0.4:
            market_id, part = dice.choice(world.markets), dice.choice((None, *PARTS))
            channel = MARKETS if dice.random() < 0.1 else channels.of_market(market_id, part)
            followers.append(Follower(client, channel))
        elif followers and dice.random() < 0.3:
            dice.choice(followers).reconnect()
    sources = [follower.channel.source for follower in followers if follower.channel.source]
    with ledger.connect() as conn:
        heads = stream_sources.heads(conn, sources)
    for follower, head in zip(followers, heads, strict=True):
        follower.read_until(head)
        check(client, follower)


def test_snapshots_are_in_the_shape_of_rest(client: Client, ledger: Engine) -> None:
    world = Happenings(client, ledger, random.Random(1))
    for _ in range(20):
        world.happen()
    market = world.chain.market_ids[0].hex()

    def snapshot(channel: str) -> Any:
        with client.websocket_connect("/ws") as socket:
            socket.receive_json(timeout=PATIENCE)
            socket.send_json({"action": "subscribe", "channel": channel})
            return socket.receive_json(timeout=PATIENCE)["data"]["snapshot"]

    path = f"/api/markets/{market}"
    expected = {
        "market": client.get(path).json(),
        "trades": client.get(f"{path}/trades").json(),
        "votes": client.get(f"/api/votes/{market}").json()
        | {"thresholds": {"proposal_bps": 7000, "dispute_bps": 6000}},
        "discussion": client.get(f"/api/discussions/{market}").json(),
    }
    assert snapshot(f"market:{market}") == expected
    assert snapshot(f"market:{market}:state") == expected["market"]
    for part in ("trades", "votes", "discussion"):
        assert snapshot(f"market:{market}:{part}") == expected[part]
    assert snapshot("markets") == client.get("/api/markets").json()
    shown = expected["market"]
    assert (
        snapshot(f"market:{market}:prices").items()
        >= {
            "market_id": market,
            "q_yes": shown["shares_yes"],
            "q_no": shown["shares_no"],
            "b": shown["b_parameter"],
            "price_yes": shown["price_yes"],
            "price_no": shown["price_no"],
            "slot": shown["as_of_slot"],
        }.items()
    )


def test_snapshot_is_read_together_with_its_position(client: Client, ledger: Engine) -> None:
    """While the market changes all the time: one state has one position."""
    with ledger.begin() as conn:
        seed.market(conn, DISCUSSED, shares_yes=0)
    done = threading.Event()
    shares = tables.markets.c.shares_yes

    def change() -> None:
        while not done.is_set():
            with ledger.begin() as conn:
                conn.execute(update(tables.markets).values(shares_yes=shares + 1))
                row = markets.get(conn, DISCUSSED)
                assert row is not None
                stream.append(conn, market_state_frames(row, action="updated"))

    name = channels.of_market(DISCUSSED, "prices").name
    seen: list[Any] = []
    with ThreadPoolExecutor(1) as writer, client.websocket_connect("/ws") as socket:
        changing = writer.submit(change)
        try:
            while len(seen) < 40:
                socket.send_json({"action": "subscribe", "channel": name})
                answer = socket.receive_json(timeout=PATIENCE)
                if answer["type"] == "subscribed":
                    seen.append((answer["seq"], answer["data"]["snapshot"]["q_yes"]))
                    socket.send_json({"action": "unsubscribe", "channel": name})
                    while socket.receive_json(timeout=PATIENCE)["type"] != "unsubscribed":
                        pass
        finally:
            done.set()
            changing.result()
    source = channels.of_market(DISCUSSED, "prices").source
    assert source is not None
    with ledger.connect() as conn:
        states = {
            frame.position: frame.payload["market"]["shares_yes"]
            for frame in stream_sources.read(conn, [source], 0, limit=1_000_000)
        }
    assert [states.get(seq, 0) for seq, _ in seen] == [state for _, state in seen]
    assert len(set(seen)) > 1


def test_unknown_market_begins_with_nothing(client: Client) -> None:
    for part, expected in ((None, None), ("state", None), ("prices", None)):
        channel = channels.of_market(b"\xee" * 32, part)
        with client.websocket_connect("/ws") as socket:
            socket.receive_json(timeout=PATIENCE)
            socket.send_json({"action": "subscribe", "channel": channel.name})
            answer = socket.receive_json(timeout=PATIENCE)
        snapshot = answer["data"]["snapshot"]
        assert (snapshot["market"] if part is None else snapshot) is expected
        assert answer["seq"] == 0


def test_reset_has_the_snapshot_as_of_its_position(
    client: Client, ledger: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.realtime.start.MAX_REPLAY", 1)
    with ledger.begin() as conn:
        seed.market(conn, DISCUSSED)
        frames = [Frame(stream.market_channel(DISCUSSED), "trade", {"n": n}) for n in range(3)]
        head = stream.append(conn, frames)[-1]
    name = channels.of_market(DISCUSSED, "trades").name
    with client.websocket_connect("/ws") as socket:
        socket.receive_json(timeout=PATIENCE)
        socket.send_json({"action": "subscribe", "channel": name, "since": 1})
        acknowledged = socket.receive_json(timeout=PATIENCE)
        assert (acknowledged["type"], acknowledged["seq"]) == ("subscribed", head)
        assert "snapshot" not in acknowledged["data"]
        reset = socket.receive_json(timeout=PATIENCE)
        assert (reset["type"], reset["seq"], reset["channel"]) == ("reset", head, name)
        assert reset["data"]["reason"] == "too_old"
        assert reset["data"]["snapshot"]["trades"] == []
        with ledger.begin() as conn:
            (new,) = stream.append(conn, frames[:1])
        frame = socket.receive_json(timeout=PATIENCE)
        assert (frame["seq"], frame["prev"], frame["channel"]) == (new, head, name)
