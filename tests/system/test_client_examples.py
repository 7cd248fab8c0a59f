"""The client libraries against a running system: sessions, and the examples from draft to claim."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from zmart_client import ApiError, Client, Configuration, Tokens, calls, models

from clients.generation.node import NODE, install_packages
from clients.generation.typescript import PACKAGE
from tests.clients.keypair_wallet import KeypairWallet
from tests.fixtures.running_system import PROJECT, RunningSystem

pytestmark = pytest.mark.system

TSC = "node_modules/typescript/bin/tsc"
LIFE_SECONDS = 400
STEPS = (
    *("signs in", "drafts a question", "creates the market", "vote on the proposal"),
    *("activates the market", "buys YES", "proposes NO", "disputes it", "Both holders vote"),
    "The winner claims",
)


def lived(system: RunningSystem, *command: str | Path, folder: Path) -> None:
    """Run an example; assert that each step came, and that the chain paid what it says."""
    rpc = f"http://127.0.0.1:{system.environment['LOCALNET_PORT']}"
    done = subprocess.run(
        [*command, "--api", system.api, "--rpc", rpc],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=LIFE_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    positions = [done.stdout.index(step) for step in STEPS]
    assert positions == sorted(positions)
    claimed = re.fullmatch(r"claimed (\d+) lamports", done.stdout.splitlines()[-1])
    assert claimed is not None
    signature = re.findall(r"\((\w{64,88})\)", done.stdout)[-1]
    events = system.get(f"/api/transactions/{signature}")["events"]
    paid = {one["type"]: one["data"] for one in events}["WinningsClaimed"]
    assert int(claimed[1]) > 0
    assert paid["amount"] == int(claimed[1])


def test_python_example_lives_a_market(running_system: RunningSystem) -> None:
    example = PROJECT / "clients" / "python" / "examples" / "market_life.py"
    lived(running_system, sys.executable, example, folder=PROJECT)


def test_typescript_example_lives_a_market(running_system: RunningSystem) -> None:
    install_packages(PACKAGE)
    subprocess.run([NODE, TSC, "-p", "tsconfig.build.json"], cwd=PACKAGE, check=True)
    lived(running_system, NODE, "examples/market_life.ts", folder=PACKAGE)


def test_session_is_renewed_and_ends_as_the_api_says(running_system: RunningSystem) -> None:
    wallet, kept = KeypairWallet(), list[Tokens | None]()
    with Client(running_system.api, Configuration(on_tokens=kept.append)) as client:
        client.sign_in(wallet)
        first = client.session.tokens
        assert first is not None
        assert client.send(calls.get_own_account()).wallet == wallet.address
        client.session.tokens = Tokens(first.access_token, first.refresh_token, time.time())
        session = client.send(calls.get_own_account()).session.id
        assert len(kept) == 2, "renewed before the call"
        client.session.tokens = Tokens("no token", kept[-1].refresh_token, 4e9)  # type: ignore[union-attr]
        assert client.send(calls.get_own_account()).session.id == session
        assert len(kept) == 3, "renewed after the refusal"
        client.send(calls.end_session(session))
        client.session.tokens = Tokens("no token", kept[-1].refresh_token, 4e9)  # type: ignore[union-attr]
        with pytest.raises(ApiError, match=r"session_ended|refresh_token_invalid"):
            client.send(calls.get_own_account())
        assert kept[-1] is None


def test_write_under_one_key_has_one_effect(running_system: RunningSystem) -> None:
    wallet = KeypairWallet()
    with Client(running_system.api) as client:
        client.sign_in(wallet)
        market = client.send(calls.list_markets(limit=1)).markets[0].id
        comment = calls.create_discussion(models.NewComment(market_id=market, content="twice"))
        answers = [client.send(comment, idempotency_key="the-same") for _ in range(2)]
        assert len({answer.discussion.id for answer in answers}) == 1
        other = calls.create_discussion(models.NewComment(market_id=market, content="other"))
        with pytest.raises(ApiError) as raised:
            client.send(other, idempotency_key="the-same")
        assert raised.value.code == "idempotency_key_used"
