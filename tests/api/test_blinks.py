"""A client that is not ours uses a market's link on a chain; types are the specification's."""

from __future__ import annotations

import base64
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from solders.keypair import Keypair

from clients.generation.node import NODE, install_packages
from clients.generation.typescript import PACKAGE
from tests.api.chain_world import Client, World
from tests.api.running_api import running
from tests.api.seed import SOL
from tests.api.test_prepared_transactions import EVIDENCE, Stage
from tests.fixtures.clients import FOLDER, RunClient
from tests.fixtures.localnet import Localnet
from zmart_pipelines import base58
from zmart_pipelines.program import instructions
from zmart_pipelines.settings import Settings

pytestmark = pytest.mark.process


@pytest.fixture
def stage(api_settings: Settings, localnet: Localnet, tmp_path: Path) -> Iterator[Stage]:
    """Wallets that act through an API in a process of its own."""
    over = {
        "solana_rpc_url": localnet.rpc_url,
        "public_url": f"http://127.0.0.1:{api_settings.api_port}",
    }
    settings = Settings(**api_settings.model_dump() | over)
    with running(settings, tmp_path) as api, httpx.Client(base_url=api.url, timeout=60) as client:
        world = World(settings, localnet, cast(Client, client))
        yield Stage(world)
        world.rpc.close()


class Blinks:
    """Dialect's client with one wallet."""

    def __init__(self, stage: Stage, run_client: RunClient, wallet: Keypair) -> None:
        self.stage = stage
        self.run_client = run_client
        self.wallet = wallet

    def ask(self, label: str, *amount: str) -> Any:
        """Press a button of the market's card, sign, send; what the client saw."""
        return self.run_client(
            "blink.mjs",
            f"{self.stage.world.client.base_url}/markets/{self.stage.market_id}",
            self.stage.world.chain.rpc_url,
            base64.b64encode(bytes(self.wallet)).decode(),
            label,
            *amount,
        )

    def press(self, label: str, *amount: str) -> Any:
        """The same, where it is not refused; the ledger then holds the transaction."""
        seen = self.ask(label, *amount)
        assert "refused" not in seen, seen["refused"]
        self.stage.world.chain.control.advance(slots=2, seconds=1)
        self.stage.world.deliver(base58.decode(seen["signature"]))
        return seen

    def position(self) -> Any:
        path = f"/api/users/{self.wallet.pubkey()}/positions"
        (position,) = self.stage.world.client.get(path).json()
        return position


def to_the_present(stage: Stage) -> None:
    """Bring the chain's clock to now: a card says what can be done at the present time."""
    clock = stage.world.rpc.chain_clock("confirmed")
    behind = int(time.time()) - clock.unix_timestamp
    stage.world.chain.control.advance(slots=2, seconds=max(1, behind))


def test_wallet_buys_and_claims_by_a_link(stage: Stage, run_client: RunClient) -> None:
    stage.open()
    blinks = Blinks(stage, run_client, stage.rival)
    origin = str(stage.world.client.base_url)

    bought = blinks.press("Buy YES", "0.5")
    assert bought["url"] == f"{origin}/api/actions/{stage.market_id}"
    assert bought["supported"] == {"isSupported": True}
    assert bought["missingHeaders"] == []
    assert bought["icon"].startswith("image/svg+xml")
    assert bought["card"]["buttons"] == ["Buy YES", "Buy NO"]
    assert bought["card"]["title"] == "Will it rain in Ghent tomorrow?"
    assert bought["version"] == 0
    assert bought["message"].startswith("Buys ")
    assert (bought["next"]["type"], bought["next"]["buttons"]) == ("completed", ["Bought"])
    position = blinks.position()
    assert int(position["shares_yes"]) > 0
    assert int(position["shares_no"]) == 0

    poor = blinks.ask("Buy NO", "500")
    assert "needs 499.9" in poor["refused"], poor

    stage.do("resolve", stage.world.wallet, outcome=True, ipfs_evidence_hash=EVIDENCE)
    stage.world.chain.control.advance(slots=2, seconds=259_200)
    stage.by_backend(instructions.finalize_market, dispute_agree=None, dispute_disagree=None)
    before = stage.lamports(str(stage.rival.pubkey()))
    claimed = blinks.press("Claim")
    assert claimed["card"]["description"].startswith("The final outcome is YES")
    assert claimed["next"]["type"] == "completed"
    assert stage.lamports(str(stage.rival.pubkey())) > before + SOL // 10
    assert "claimed" in blinks.ask("Claim")["refused"]


def test_wallet_votes_and_disputes_by_a_link(stage: Stage, run_client: RunClient) -> None:
    stage.do("create", stage.world.wallet, **stage.draft())
    blinks = Blinks(stage, run_client, stage.rival)
    assert blinks.press("Like")["next"]["buttons"] == ["Voted"]
    assert "voted on chain already" in blinks.ask("Dislike")["refused"]
    stage.to_active()
    to_the_present(stage)
    stage.do("buy", stage.rival, outcome=True, max_cost=SOL)
    stage.do("resolve", stage.world.wallet, outcome=True, ipfs_evidence_hash=EVIDENCE)
    disputed = blinks.press("Dispute the outcome")
    assert disputed["next"]["buttons"] == ["YES is wrong", "YES is right"]
    voted = blinks.press("YES is wrong")
    assert voted["card"]["buttons"] == disputed["next"]["buttons"]


def test_answers_have_the_types_of_the_specification() -> None:
    for folder in (FOLDER, PACKAGE):
        install_packages(folder)
    options = ("--strict", "--module", "nodenext", "--target", "es2022")
    done = subprocess.run(
        [
            NODE,
            PACKAGE / "node_modules" / "typescript" / "bin" / "tsc",
            "--noEmit",
            "--allowImportingTsExtensions",
            *options,
            "actions.ts",
        ],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
