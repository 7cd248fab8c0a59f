"""A row read by REST and the frame received by socket have equal fields."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from solders.keypair import Keypair
from sqlalchemy import Engine

from tests.api.private_sockets import asked, authenticated, greeted, own_channel, receive, ticket
from tests.api.seed import market, wallet
from tests.api.signing_in import session_of
from tests.api.wallets import proof, signed
from tests.ledger.recorded_rpc import PROGRAM, SOL, Recorder, address
from tests.reference_model.account_frame import Cell
from zmart_pipelines.client_schemas.markets import Market, ProjectedMarket
from zmart_pipelines.client_schemas.voting import Vote, VoteIdentity
from zmart_pipelines.ledger.ingest.writer import ingest
from zmart_pipelines.ledger.model.provenance import Commitment, Source
from zmart_pipelines.program import instructions as ix

Client = TestClient[Litestar]
OFF_CHAIN = b"\x10" * 32


@pytest.fixture
def traded_market(ledger: Engine) -> bytes:
    """A market that was voted on, opened and traded in, ingested as finalized."""
    chain = Recorder()
    market_id = chain.create(1)
    chain.send(
        ix.submit_proposal_vote(PROGRAM, user=chain.users[1], market=address(market_id), vote=True)
    )
    chain.open(market_id)
    assert chain.buy(market_id, chain.users[1]).error is None
    with ledger.begin() as conn:
        ingest(
            conn,
            chain.transactions,
            source=Source.BACKFILL,
            commitment=Commitment.FINALIZED,
            program=PROGRAM,
        )
    return market_id


def frames(client: Client, market_id: bytes, count: int) -> dict[str, dict[str, Any]]:
    """The ``data`` of the market's first frames, by type."""
    with client.websocket_connect("/ws") as socket:
        socket.receive_json()
        socket.send_json({"action": "subscribe", "market_id": market_id.hex(), "since": 0})
        socket.receive_json(timeout=30)
        received = [socket.receive_json(timeout=30) for _ in range(count)]
    assert all(frame["timestamp"].endswith("Z") for frame in received)
    return {frame["type"]: frame["data"] for frame in received}


def encoded(schema: type[msgspec.Struct]) -> set[str]:
    """The JSON names of a schema's fields."""
    return set(schema.__struct_encode_fields__)


def test_trade_vote_and_market_are_equal_by_rest_and_by_socket(
    client: Client, traded_market: bytes
) -> None:
    sent = frames(client, traded_market, 3)
    path = f"/api/markets/{traded_market.hex()}"

    (trade,) = client.get(f"{path}/trades").json()["trades"]
    assert sent["trade"].items() >= trade.items()
    assert trade["outcome"] is True
    assert trade["exact"].keys() == {"shares", "cost"}

    (vote,) = client.get(f"{path}/votes?type=proposal").json()["votes"]
    shared = encoded(VoteIdentity) - {"exact"}
    assert {name: sent["vote"][name] for name in shared} == {name: vote[name] for name in shared}
    assert (vote["vote"], vote["choice"]) == (True, "like")
    assert encoded(Vote) - shared == {"exact", "weight"}

    market_row = client.get(path).json()
    state = sent["market_state"]["market"]
    assert state.keys() == encoded(ProjectedMarket)
    assert market_row.items() >= state.items()
    assert market_row.keys() == encoded(Market)
    assert len(state["exact"]) == 11


def test_ballot_is_equal_by_rest_and_by_socket(client: Client, ledger: Engine) -> None:
    with ledger.begin() as conn:
        market(conn, OFF_CHAIN, state=0)
    text = client.get(f"/api/votes/proposal/{OFF_CHAIN.hex()}/message?vote=dislike").json()
    body = {"market_id": OFF_CHAIN.hex(), "vote": False} | proof(wallet(1), text["message"])
    stored = client.post("/api/votes/proposal", json=body).json()["data"][0]
    sent = frames(client, OFF_CHAIN, 1)["vote"]
    (listed,) = client.get(f"/api/markets/{OFF_CHAIN.hex()}/votes").json()["votes"]
    shared = encoded(VoteIdentity) - {"exact"}
    assert {name: sent[name] for name in shared} == {name: listed[name] for name in shared}
    assert (sent["vote"], sent["choice"], sent["source"]) == (False, "dislike", "wallet")
    assert {name: stored[name] for name in ("vote", "choice", "voted_at", "signature")} == {
        name: sent[name] for name in ("vote", "choice", "voted_at", "signature")
    }


def test_comment_is_equal_by_rest_and_by_socket(client: Client, ledger: Engine) -> None:
    with ledger.begin() as conn:
        market(conn, OFF_CHAIN)
    body = {"market_id": OFF_CHAIN.hex(), "content": "It will rain."}
    body = signed(client, wallet(1), "/api/discussions", body)
    stored = client.post("/api/discussions", json=body).json()["discussion"]
    sent = frames(client, OFF_CHAIN, 1)["discussion"]
    (listed,) = client.get(f"/api/discussions/{OFF_CHAIN.hex()}").json()["discussions"]
    assert stored == listed == sent["discussion"]
    assert sent.items() >= listed.items()
    assert (sent["text"], sent["author"]) == (listed["content"], listed["user_wallet"])


def private_frames(client: Client, who: Keypair, count: int) -> list[dict[str, Any]]:
    """The first frames of a wallet's own channel."""
    with greeted(client) as socket:
        authenticated(socket, ticket(client, session_of(client, who)))
        answer = asked(socket, action="subscribe", channel=own_channel(who), since=0)
        assert answer["type"] == "subscribed", answer
        return [receive(socket) for _ in range(count)]


def test_trade_and_position_of_a_wallet_are_equal_by_rest_and_by_socket(
    client: Client, ledger: Engine
) -> None:
    who = wallet(7)
    address_text = str(who.pubkey())
    chain = Recorder()
    chain.model.cells[who.pubkey()] = Cell(10 * SOL)
    market_id = chain.create(1)
    chain.open(market_id)
    assert chain.buy(market_id, who.pubkey()).error is None
    with ledger.begin() as conn:
        ingest(
            conn,
            chain.transactions,
            source=Source.BACKFILL,
            commitment=Commitment.FINALIZED,
            program=PROGRAM,
        )
    trade, position = private_frames(client, who, 2)
    assert [frame["type"] for frame in (trade, position)] == ["trade", "position"]
    (listed,) = client.get(f"/api/users/{address_text}/trades").json()["trades"]
    assert trade["data"].items() >= listed.items()
    (held,) = client.get(f"/api/positions/{address_text}").json()
    assert position["data"] == {
        "action": "updated",
        "market_id": market_id.hex(),
        "position": held,
    }
    assert held["exact"]["shares_yes"] == str(held["shares_yes"])
