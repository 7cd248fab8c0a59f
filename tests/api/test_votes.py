"""Ballots over HTTP: the text to sign, one per wallet, repeats, conflicts, the freeze."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine, text

from api.app import create_app
from tests.api.seed import address_of, market, position, wallet
from tests.api.signing_in import bearer, sign_in
from tests.api.wallets import header, proof, signed_in
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.voting import tallies
from zmart_pipelines.voting.ballot import parse

Client = TestClient[Litestar]
PROPOSED, DISPUTED = b"\x10" * 32, b"\x20" * 32


@pytest.fixture(autouse=True)
def _markets(ledger: Engine) -> None:
    with ledger.begin() as conn:
        market(conn, PROPOSED, state=0)
        market(conn, DISPUTED, state=4)
        position(conn, DISPUTED, wallet(1))


@pytest.fixture
def accepting(api_settings: Settings) -> Iterator[Client]:
    """An API that accepts older clients' ballots."""
    settings = api_settings.model_copy(update={"accept_older_ballots": True})
    with TestClient(create_app(settings), raise_server_exceptions=False) as made:
        yield made


def message(client: Client, kind: str, market_id: bytes, vote: str) -> str:
    """The text to sign."""
    answer = client.get(f"/api/votes/{kind}/{market_id.hex()}/message?vote={vote}")
    assert answer.status_code == 200, answer.text
    found: str = answer.json()["message"]
    return found


def cast(
    client: Client,
    number: int,
    vote: Any = True,
    *,
    kind: str = "proposal",
    market_id: bytes = PROPOSED,
    headers: dict[str, str] | None = None,
) -> Any:
    """Sign the text that the API returns and cast the ballot."""
    words = {True: "true", False: "false"}
    signed = proof(wallet(number), message(client, kind, market_id, words.get(vote, vote)))
    body = {"market_id": market_id.hex(), "vote": vote} | signed
    return client.post(f"/api/votes/{kind}", json=body, headers=headers)


def test_text_to_sign_parses_as_the_ballot(client: Client) -> None:
    answer = client.get(f"/api/votes/proposal/{address_of(PROPOSED)}/message?vote=dislike").json()
    ballot = parse(answer["message"])
    assert (ballot.market_id, ballot.kind, ballot.choice) == (PROPOSED, "proposal", False)
    assert (answer["choice"], answer["vote"], answer["round"]) == ("dislike", False, 0)
    assert answer["market_id"] == PROPOSED.hex()
    assert answer["message"] != message(client, "proposal", PROPOSED, "dislike")
    assert client.get(f"/api/votes/proposal/{'ee' * 32}/message?vote=like").status_code == 404


def test_votes_are_stored_counted_listed_and_published(client: Client) -> None:
    with client.websocket_connect("/") as socket:
        socket.receive_json()
        socket.send_json({"action": "subscribe", "market_id": PROPOSED.hex()})
        socket.receive_json()
        for number, vote in ((1, True), (2, "like"), (3, False)):
            answer = cast(client, number, vote)
            assert answer.status_code == 201, answer.text
            assert answer.headers["location"] == f"/api/votes/proposal/{PROPOSED.hex()}"
        body = answer.json()
        assert body["data"][0]["vote"] is False
        assert body["data"][0]["user_wallet"] == str(wallet(3).pubkey())
        assert body["count"] == 1
        assert body["metadata"]["vote_type"] == "proposal"
        assert (body["counts"]["likes"], body["counts"]["dislikes"]) == (2, 1)
        assert body["repeated"] is False
        frames = [socket.receive_json(timeout=30) for _ in range(3)]
        assert [frame["data"]["votes_for"] for frame in frames] == [1, 2, 2]
        assert frames[1]["prev"] == frames[0]["seq"]

    page = client.get(f"/api/markets/{address_of(PROPOSED)}/votes").json()
    assert page["stats"] == {
        "likes": 2,
        "dislikes": 1,
        "total": 3,
        "approval_rate": "66.67",
        "exact": {"likes": "2", "dislikes": "1", "total": "3"},
    }
    assert [row["vote"] for row in page["votes"]] == [False, True, True]
    assert page["votes"][0]["choice"] == "dislike"
    assert client.get(f"/api/markets/{PROPOSED.hex()}/votes?limit=1").json()["votes"][0]["id"]
    both = client.get(f"/api/votes/{PROPOSED.hex()}").json()
    assert both["proposal_votes"]["likes"] == 2
    assert both["dispute_votes"]["total"] == 0
    one = client.get(f"/api/votes/proposal/{PROPOSED.hex()}").json()
    assert (one["success"], one["marketId"], one["counts"]["total"]) == (True, PROPOSED.hex(), 3)
    mine = client.get(f"/api/users/{wallet(1).pubkey()}/votes").json()
    assert (mine["total"], mine["proposal_votes"][0]["market_id"]) == (1, PROPOSED.hex())


def test_stored_ballot_is_the_vote_of_the_lists(client: Client) -> None:
    answer = cast(client, 9)
    (ballot,) = answer.json()["data"]
    (vote,) = client.get(f"/api/users/{wallet(9).pubkey()}/votes").json()["proposal_votes"]
    assert {name: ballot[name] for name in vote} == vote
    assert ballot.keys() - vote.keys() == {"scheme", "message"}


def test_repeat_returns_the_stored_answer_and_change_is_a_conflict(client: Client) -> None:
    signed = proof(wallet(1), message(client, "proposal", PROPOSED, "true"))
    body = {"market_id": PROPOSED.hex(), "vote": True} | signed
    first = client.post("/api/votes/proposal", json=body)
    again = client.post("/api/votes/proposal", json=body)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json()["data"] == first.json()["data"]
    assert again.json()["repeated"] is True
    assert again.json()["counts"]["total"] == 1

    other = cast(client, 1, False)
    assert other.status_code == 409
    assert other.json()["code"] == "already_voted"
    assert other.json()["stored"] == first.json()["data"][0]


def test_older_paths_cast_the_same_ballots(client: Client) -> None:
    text_ = message(client, "proposal", PROPOSED, "like")
    signed = proof(wallet(1), text_)
    older = {"vote": "like", "message": text_, "signature": signed["signature"]}
    answer = client.post(
        f"/api/votes/proposal/{address_of(PROPOSED)}",
        json=older | {"publicKey": signed["wallet"]},
    )
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["success"], body["marketId"], body["vote"]) == (True, PROPOSED.hex(), "like")
    assert isinstance(body["timestamp"], int)
    again = client.post(f"/api/markets/{PROPOSED.hex()}/vote", json={"vote": True} | signed)
    assert (again.status_code, again.json()["repeated"]) == (201, True)
    assert again.json()["data"][0]["id"] == body["voteId"]
    disputed = proof(wallet(1), message(client, "dispute", DISPUTED, "agree"))
    path = f"/api/markets/{DISPUTED.hex()}/dispute/vote"
    cast_in_dispute = client.post(path, json={"vote": "agree"} | disputed)
    assert cast_in_dispute.json()["metadata"]["vote_type"] == "dispute"


BALLOT_ROUTES = {
    "by kind": ("/api/votes/proposal", {"market_id": PROPOSED.hex(), "vote": "like"}),
    "by market": (f"/api/votes/proposal/{PROPOSED.hex()}", {"vote": "like"}),
    "of a proposal": (f"/api/markets/{PROPOSED.hex()}/vote", {"vote": "like"}),
    "of a dispute": (f"/api/markets/{DISPUTED.hex()}/dispute/vote", {"vote": "agree"}),
}


@pytest.mark.parametrize("route", BALLOT_ROUTES)
def test_session_casts_no_ballot(client: Client, ledger: Engine, route: str) -> None:
    """A ballot needs a signature of its own; a session beside it counts for nothing."""
    path, body = BALLOT_ROUTES[route]
    signer = wallet(1)
    tokens = sign_in(client, signer)
    for named in ({}, {"wallet": str(signer.pubkey())}):
        answer = client.post(path, json=body | named, headers=bearer(tokens))
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), answer.text
    # Texts that the wallet signed for something else are no ballots either.
    asked = client.post("/api/auth/nonce", json={"wallet": str(signer.pubkey())}).json()
    answer = client.post(path, json=body | proof(signer, asked["message"]), headers=bearer(tokens))
    assert answer.status_code in {400, 401}, answer.text
    with ledger.connect() as conn:
        stored = conn.execute(text("SELECT count(*) FROM voting.ballots")).scalar_one()
    assert stored == 0


def test_ballot_is_its_signers_whoever_signed_in(client: Client, ledger: Engine) -> None:
    session = bearer(sign_in(client, wallet(2)))
    assert cast(client, 1, headers=session).status_code == 201
    with ledger.connect() as conn:
        voters = conn.execute(text("SELECT wallet FROM voting.ballots")).scalars().all()
    assert voters == [bytes(wallet(1).pubkey())]


def test_idempotency_key_repeats_across_signatures(client: Client) -> None:
    key = {"Idempotency-Key": "vote-1"}
    first = cast(client, 1, True, headers=key)
    again = cast(client, 1, True, headers=key)
    assert again.json()["data"] == first.json()["data"]
    assert cast(client, 1, False, headers=key).status_code == 409
    assert cast(client, 2, True, headers={"Idempotency-Key": "x" * 101}).status_code == 400
    cast(client, 1, "agree", kind="dispute", market_id=DISPUTED, headers={"Idempotency-Key": "d"})
    other = cast(client, 1, True, headers={"Idempotency-Key": "d"})
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_used")
    assert other.json()["details"][0]["field"] == "Idempotency-Key"


def test_sign_in_texts_are_no_ballots_unless_accepted(client: Client) -> None:
    body = {"market_id": PROPOSED.hex(), "vote": True}
    by_body = client.post("/api/votes/proposal", json=body | signed_in(wallet(1)))
    by_header = client.post("/api/votes/proposal", json=body, headers=header(wallet(2)))
    for answer in (by_body, by_header):
        assert answer.status_code == 400, answer.text
        (detail,) = answer.json()["details"]
        assert detail["field"] == "message"
        assert "GET /api/votes/proposal/{market}/message" in detail["message"]


def test_older_clients_vote_where_sign_in_texts_are_accepted(accepting: Client) -> None:
    body = {"market_id": PROPOSED.hex(), "vote": True}
    by_body = accepting.post("/api/votes/proposal", json=body | signed_in(wallet(1)))
    by_header = accepting.post("/api/votes/proposal", json=body, headers=header(wallet(2)))
    assert (by_body.status_code, by_header.status_code) == (201, 201), by_header.text
    assert by_body.json()["data"][0]["scheme"] == "login-body"


def test_only_holders_vote_on_disputes(client: Client) -> None:
    assert cast(client, 1, "agree", kind="dispute", market_id=DISPUTED).status_code == 201
    answer = cast(client, 2, "disagree", kind="dispute", market_id=DISPUTED)
    assert answer.status_code == 400
    assert answer.json()["details"][0]["field"] == "wallet"
    counts = client.get(f"/api/votes/{DISPUTED.hex()}").json()["dispute_votes"]
    assert (counts["agrees"], counts["disagrees"]) == (1, 0)


def test_invalid_ballots_are_rejected(client: Client) -> None:
    wrong_state = cast(client, 1, True, market_id=DISPUTED)
    assert (wrong_state.status_code, wrong_state.json()["details"][0]["field"]) == (
        400,
        "market_id",
    )
    signed = proof(wallet(1), message(client, "proposal", PROPOSED, "true"))
    body = {"market_id": PROPOSED.hex(), "vote": True} | signed
    cases: list[tuple[dict[str, Any], int, str]] = [
        ({"vote": False}, 401, "message"),
        ({"wallet": str(wallet(2).pubkey())}, 401, "signature"),
        ({"message": signed["message"].replace("like", "dislike")}, 401, "message"),
        ({"message": "hello"}, 401, "message"),
        ({"market_id": DISPUTED.hex()}, 401, "message"),
        ({"market_id": "ee" * 32}, 404, ""),
        ({"signature": None}, 401, "signature"),
    ]
    for change, status, field in cases:
        answer = client.post("/api/votes/proposal", json=body | change)
        assert answer.status_code == status, (change, answer.text)
        if field:
            assert answer.json()["details"][0]["field"] == field, (change, answer.text)
    assert client.get(f"/api/votes/{PROPOSED.hex()}").json()["proposal_votes"]["total"] == 0


@pytest.mark.parametrize(
    "path",
    [
        "/api/votes/proposal",
        f"/api/votes/proposal/{PROPOSED.hex()}",
        f"/api/markets/{PROPOSED.hex()}/vote",
    ],
)
@pytest.mark.parametrize("choice", [0, 1])
def test_number_is_no_choice(client: Client, path: str, choice: int) -> None:
    body = {"choice": choice} | signed_in(wallet(1))
    if path.endswith("proposal"):
        body["market_id"] = PROPOSED.hex()
    answer = client.post(path, json=body)
    assert answer.status_code == 400, answer.text
    assert [detail["field"] for detail in answer.json()["details"]] == ["choice"]


def test_voting_is_closed_after_the_freeze(client: Client, database: str, ledger: Engine) -> None:
    assert cast(client, 1).status_code == 201
    pipelines = role_engine(Role.PIPELINES, database)
    with pipelines.begin() as conn:
        tallies.freeze(
            conn, PROPOSED, "proposal", 0, slot=9, chain_time=1_790_000_100, chain_votes=[]
        )
    pipelines.dispose()
    answer = cast(client, 2)
    assert (answer.status_code, answer.json()["code"]) == (409, "voting_closed")
    counts = client.get(f"/api/votes/{PROPOSED.hex()}").json()["proposal_votes"]
    assert (counts["likes"], counts["status"]) == (1, "frozen")
    with ledger.connect() as conn:
        assert conn.execute(text("SELECT count(*) FROM voting.ballots")).scalar() == 1
