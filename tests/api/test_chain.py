"""With a real chain: a draft becomes a market, its webhook arrives, trades are prepared."""

from __future__ import annotations

import base64
import json
import shutil
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from solders.keypair import Keypair
from solders.transaction import VersionedTransaction
from sqlalchemy import Engine, text

from tests.api.chain_world import MARKET, World
from tests.api.seed import SOL, address_of, market
from tests.api.wallets import signed, signed_in
from zmart_pipelines.ipfs.cid import cid_v0
from zmart_pipelines.ipfs.configured_pin_store import configured_pin_store
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.program.calls import CreateMarket, decode_instruction
from zmart_pipelines.settings import Settings

Client = TestClient[Litestar]


def test_draft_is_pinned_and_its_transaction_creates_the_market(world: World) -> None:
    answer = world.draft()
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert answer.headers["location"] == f"/api/markets/{body['market_id']}"
    assert body["market"] == body["draft"]
    draft = body["draft"]
    market_id = bytes.fromhex(draft["id"])
    assert draft["on_chain_address"] == body["address"] == address_of(market_id)
    assert draft["tags"] == ["rain", "ghent"]
    assert draft["ends_at"] == "2031-01-01T00:00:00.000Z"
    document = configured_pin_store(world.settings).get(draft["ipfs_question_hash"])
    assert cid_v0(document) == draft["ipfs_question_hash"]
    assert json.loads(document)["question"] == MARKET["question"]
    assert json.loads(document)["creator"] == str(world.wallet.pubkey())
    assert body["fee_payer"] == str(world.wallet.pubkey())
    assert body["refused"] is None
    assert body["effects"]["lamports_out"] == 4_287_360 + body["network_fee"]["total"]
    message = VersionedTransaction.from_bytes(base64.b64decode(body["transaction"])).message
    call = decode_instruction(bytes(message.instructions[-1].data))
    assert call == CreateMarket(
        market_id, 100 * SOL, SOL // 10, draft["ipfs_question_hash"].encode()
    )

    # Drafts are not listed; the market is, once it is on chain.
    assert world.client.get("/api/markets").json()["count"] == 0
    assert world.client.get(f"/api/markets/{draft['id']}").status_code == 404
    answered = world.deliver(world.sign_and_send(body["transaction"]))
    assert answered["newEvents"] == 1
    row = world.client.get(f"/api/markets/{draft['on_chain_address']}").json()
    assert (row["state"], row["question"]) == ("PROPOSED", MARKET["question"])
    assert row["tags"] == ["rain", "ghent"]
    assert row["ipfs_question_hash"] == draft["ipfs_question_hash"]
    assert row["creator_wallet"] == str(world.wallet.pubkey())


def test_draft_is_kept_where_it_cannot_be_pinned(world: World) -> None:
    folder = world.settings.zmart_state / "ipfs"
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_bytes(b"")
    key = {"Idempotency-Key": "the same"}
    answer = world.draft(key)
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) > 0
    assert "ipfs" not in answer.text
    folder.unlink()
    again = world.draft(key)
    assert again.status_code == 201, again.text
    assert again.json()["repeated"] is True, "the first request stored it"
    cid = again.json()["draft"]["ipfs_question_hash"]
    assert configured_pin_store(world.settings).get(cid)


def test_same_idempotency_key_returns_the_same_market(world: World) -> None:
    key = {"Idempotency-Key": "my first market"}
    first, again = world.draft(key), world.draft(key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json()["market_id"] == first.json()["market_id"]
    assert (first.json()["repeated"], again.json()["repeated"]) == (False, True)
    other = world.draft(key, question="Will it snow in Ghent tomorrow?")
    assert other.status_code == 409
    assert world.draft().json()["market_id"] != world.draft().json()["market_id"]


def test_same_signed_request_returns_the_same_market(world: World, ledger: Engine) -> None:
    body = signed(world.client, world.wallet, "/api/markets", MARKET)
    first, again = (world.client.post("/api/markets", json=body) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201), again.text
    assert again.json()["market_id"] == first.json()["market_id"]
    assert (first.json()["repeated"], again.json()["repeated"]) == (False, True)
    changed = body | {"liquidity": MARKET["liquidity"] + 1}
    for other, headers in ((changed, {}), (body, {"Idempotency-Key": "another"})):
        answer = world.client.post("/api/markets", json=other, headers=headers)
        assert answer.status_code == 401, answer.text
    with ledger.connect() as conn:
        rows = conn.execute(text("SELECT count(*) FROM community.market_drafts")).scalar()
    assert rows == 1


def test_refused_drafts_are_not_pinned(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred drafts of an empty wallet, with one signature: one is stored and pinned."""
    pinned = []
    store = configured_pin_store(world.settings)
    monkeypatch.setattr(type(store), "pin", lambda _, data: pinned.append(data))
    body = MARKET | signed_in(Keypair())
    answers = [
        world.client.post("/api/markets", json=body | {"question": f"Will it rain {n} times?"})
        for n in range(20)
    ]
    assert [answer.status_code for answer in answers] == [201] + [401] * 19
    assert len(pinned) == 1
    stored = answers[0].json()
    assert (stored["effects"], stored["refused"]["code"]) == (None, "insufficient_funds")


def test_draft_requires_the_chain_and_a_signature(
    client: Client, ledger: Engine, api_settings: Settings
) -> None:
    assert client.post("/api/markets", json=MARKET).status_code == 401
    answer = client.post("/api/markets", json=signed(client, Keypair(), "/api/markets", MARKET))
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert "127.0.0.1" not in answer.text
    with ledger.connect() as conn:
        rows = conn.execute(text("SELECT count(*) FROM community.market_drafts")).scalar()
    assert rows == 0


def test_trades_and_resolutions_are_prepared_quoted_and_rejected(world: World) -> None:
    body = world.draft().json()
    market_id = bytes.fromhex(body["market_id"])
    world.deliver(world.sign_and_send(body["transaction"]))

    def ask(path: str, **members: Any) -> Any:
        return world.client.post(path, json=members | signed_in(world.wallet))

    buy = {"market_id": market_id.hex(), "outcome": True, "max_cost": 2 * SOL}
    refused = ask("/api/trades/buy", **buy)
    assert (refused.status_code, refused.json()["code"]) == (409, "invalid_market_state")
    world.open(market_id)

    answer = ask("/api/trades/buy", **buy)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"].startswith("/api/markets/")
    quote = answer.json()["quote"]
    assert 0 < quote["total"] <= 2 * SOL
    world.deliver(world.sign_and_send(answer.json()["transaction"]))
    (trade,) = world.client.get(f"/api/markets/{market_id.hex()}/trades").json()["trades"]
    assert (trade["shares"], trade["cost"]) == (quote["shares"], quote["total"])
    (position,) = world.client.get(f"/api/positions/{world.wallet.pubkey()}").json()
    assert position["shares_yes"] == quote["shares"]

    greedy = ask("/api/trades/buy", **buy | {"shares": 10**12})
    assert (greedy.status_code, greedy.json()["details"][0]["field"]) == (409, "max_cost")
    small = ask("/api/trades/buy", **buy | {"max_cost": 9_999})
    assert (small.status_code, small.json()["code"]) == (409, "trade_too_small")
    sale = {"market_id": market_id.hex(), "outcome": True, "shares": quote["shares"]}
    assert ask("/api/trades/sell", **sale).status_code == 409

    evidence = {"outcome": True, "ipfs_evidence_hash": body["draft"]["ipfs_question_hash"]}
    path = f"/api/markets/{address_of(market_id)}/resolve"
    early = ask(path, **evidence)
    assert early.status_code == 409
    world.chain.control.advance(slots=4, seconds=60)
    resolve = ask(path, **evidence)
    assert resolve.status_code == 200, resolve.text
    world.deliver(world.sign_and_send(resolve.json()["transaction"]))
    row = world.client.get(f"/api/markets/{market_id.hex()}").json()
    assert (row["state"], row["proposed_outcome"]) == (MarketState.RESOLVING.name, True)
    assert row["resolver_wallet"] == str(world.wallet.pubkey())


def test_trade_in_market_missing_on_chain_is_rejected(world: World, ledger: Engine) -> None:
    members = {"market_id": "ab" * 32, "outcome": True, "max_cost": SOL}
    answer = world.client.post("/api/trades/buy", json=members | signed_in(world.wallet))
    assert answer.status_code == 404
    with ledger.begin() as conn:
        market(conn, b"\xab" * 32)
    answer = world.client.post("/api/trades/buy", json=members | signed_in(world.wallet))
    assert answer.status_code == 404
