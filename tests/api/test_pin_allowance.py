"""What a wallet may have pinned: so much a minute and a day, and only with some balance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from litestar.testing import TestClient
from solders.keypair import Keypair
from sqlalchemy import Engine, text

from api.app import create_app
from tests.api.chain_world import MARKET, World
from tests.api.wallets import signed
from tests.fixtures.localnet import Localnet
from zmart_pipelines.settings import Settings

MIN_LAMPORTS = 5_000_000
PER_MINUTE = 3


@pytest.fixture
def limited(api_settings: Settings, localnet: Localnet) -> Iterator[World]:
    """An API that limits pins; the wallet has funds."""
    settings = Settings(
        **api_settings.model_dump()
        | {
            "solana_rpc_url": localnet.rpc_url,
            "rate_limit_pin": PER_MINUTE,
            "rate_limit_pin_day": 50,
            "pin_min_lamports": MIN_LAMPORTS,
        }
    )
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        made = World(settings, localnet, client)
        yield made
        made.rpc.close()


def drafts(ledger: Engine) -> int:
    with ledger.connect() as conn:
        return int(conn.execute(text("SELECT count(*) FROM community.market_drafts")).scalar_one())


def pinned(world: World) -> int:
    return sum(1 for _ in (world.settings.zmart_state / "ipfs").rglob("Qm*"))


def test_empty_wallet_pins_nothing(limited: World, ledger: Engine) -> None:
    poor = Keypair()
    limited.chain.airdrop(poor.pubkey(), MIN_LAMPORTS - 1)

    def draft() -> Any:
        return limited.client.post(
            "/api/markets", json=signed(limited.client, poor, "/api/markets", MARKET)
        )

    answer = draft()
    assert answer.status_code == 409
    assert answer.json()["code"] == "insufficient_funds"
    assert str(MIN_LAMPORTS) in answer.json()["message"]
    assert (drafts(ledger), pinned(limited)) == (0, 0)
    limited.chain.airdrop(poor.pubkey(), 1)
    assert draft().status_code == 201
    assert (drafts(ledger), pinned(limited)) == (1, 1)


def test_wallet_pins_so_many_and_repeats_cost_nothing(limited: World, ledger: Engine) -> None:
    body = signed(limited.client, limited.wallet, "/api/markets", MARKET)
    first = limited.client.post("/api/markets", json=body)
    assert first.status_code == 201
    assert '"pin";q=3;w=60, "pin_day";q=50;w=86400' in first.headers["ratelimit-policy"]
    for _ in range(PER_MINUTE + 1):
        repeated = limited.client.post("/api/markets", json=body)
        assert repeated.json()["repeated"], repeated.text
        assert "ratelimit" not in repeated.headers
    answers = [limited.draft(question=f"Will it snow {n} times?") for n in range(PER_MINUTE)]
    assert [one.status_code for one in answers] == [201] * (PER_MINUTE - 1) + [429]
    refused = answers[-1].json()
    assert refused["limit"]["bucket"] == "pin"
    assert refused["violated-policies"] == ["pin"]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60 / PER_MINUTE
    assert drafts(ledger) == PER_MINUTE
    assert pinned(limited) == PER_MINUTE
