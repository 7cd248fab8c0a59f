"""Ballots of wallets that do not meet the configured requirements."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from solders.keypair import Keypair
from sqlalchemy import Engine

from api.app import create_app
from tests.api.seed import market, wallet
from tests.api.test_votes import PROPOSED, message
from tests.api.wallets import proof
from tests.fixtures.localnet import Localnet
from zmart_pipelines.settings import Settings

Client = TestClient[Litestar]
SOL = 10**9


@pytest.fixture
def strict(api_settings: Settings, localnet: Localnet, ledger: Engine) -> Iterator[Client]:
    """An API that requires a balance and an age, on a local chain."""
    with ledger.begin() as conn:
        market(conn, PROPOSED, state=0)
    settings = api_settings.model_copy(
        update={
            "solana_rpc_url": Settings(solana_rpc_url=localnet.rpc_url).solana_rpc_url,
            "ballot_min_lamports": SOL,
            "ballot_min_age_seconds": 60,
        }
    )
    with TestClient(create_app(settings), raise_server_exceptions=False) as made:
        yield made


def cast_ballot(client: Client, voter: Keypair, **change: Any) -> Any:
    signed = proof(voter, message(client, "proposal", PROPOSED, "like"))
    body = {"market_id": PROPOSED.hex(), "vote": True} | signed | change
    return client.post("/api/votes/proposal", json=body)


def test_ballot_requires_the_configured_balance_and_age(strict: Client, localnet: Localnet) -> None:
    good, poor, young = wallet(1), wallet(2), wallet(3)
    localnet.airdrop(good.pubkey(), SOL)
    localnet.airdrop(poor.pubkey(), SOL - 1)
    localnet.control.advance(seconds=100)
    localnet.airdrop(young.pubkey(), SOL)
    localnet.control.finalize()

    answer = cast_ballot(strict, good)
    assert answer.status_code == 201, answer.text
    for voter, reason in ((poor, "has 999999999 lamports"), (young, "has no transaction that")):
        answer = cast_ballot(strict, voter)
        assert (answer.status_code, answer.json()["details"][0]["field"]) == (400, "wallet")
        assert answer.json()["details"][0]["message"].startswith(reason)
    # An invalid signature is rejected without asking the chain.
    answer = cast_ballot(strict, poor, wallet=str(wallet(9).pubkey()))
    assert (answer.status_code, answer.json()["details"][0]["field"]) == (401, "signature")
    counts = strict.get(f"/api/votes/{PROPOSED.hex()}").json()["proposal_votes"]
    assert (counts["likes"], counts["dislikes"]) == (1, 0)


def test_repeat_is_answered_and_outage_is_not_a_rejection(
    strict: Client, localnet: Localnet
) -> None:
    good, late = wallet(1), wallet(2)
    for voter in (good, late):
        localnet.airdrop(voter.pubkey(), SOL)
    localnet.control.advance(seconds=100)
    localnet.control.finalize()
    signed = proof(good, message(strict, "proposal", PROPOSED, "like"))
    body = {"market_id": PROPOSED.hex(), "vote": True} | signed
    assert strict.post("/api/votes/proposal", json=body).status_code == 201
    localnet.stop(kill=True)
    again = strict.post("/api/votes/proposal", json=body)
    assert (again.status_code, again.json()["repeated"]) == (201, True)
    answer = cast_ballot(strict, late)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
