"""What is prepared for the admin: signed by their wallet it does what its description says."""

from __future__ import annotations

import json
import re
from base64 import b64decode

import pytest
from click.testing import CliRunner, Result
from solders.keypair import Keypair
from solders.message import to_bytes_versioned
from solders.transaction import VersionedTransaction
from sqlalchemy import text

from tests.submissions.test_drive import open_alerts
from tests.submissions.world import World
from tests.voting.world import wallet
from zmart_pipelines.chain.jsonrpc import RpcError
from zmart_pipelines.cli import main
from zmart_pipelines.program.accounts import GlobalConfig, MarketState
from zmart_pipelines.runtime.temporary_postgres import login_settings
from zmart_pipelines.submissions import admin
from zmart_pipelines.submissions.admin import PreparedTransaction, PrepareRefused
from zmart_pipelines.voting import tallies


def signed(prepared: str, key: Keypair) -> bytes:
    """As any wallet does it: nothing but the signature is put in."""
    unsigned = VersionedTransaction.from_bytes(b64decode(prepared))
    assert unsigned.message.account_keys[0] == key.pubkey()
    signature = key.sign_message(to_bytes_versioned(unsigned.message))
    return bytes(VersionedTransaction.populate(unsigned.message, [signature]))


def land(world: World, prepared: PreparedTransaction) -> None:
    world.rpc.send(signed(prepared.transaction, world.chain.keys["admin"]))
    world.chain.control.finalize()


def config(world: World) -> GlobalConfig:
    return world.reader.config("finalized").value


def command(world: World, *arguments: str) -> Result:
    """The command as a person runs it, without database where none is named."""
    settings = world.settings.model_copy(
        update=login_settings("postgresql://nobody@127.0.0.1:1/none")
    )
    if arguments[0] == "switch" or "reopen" in arguments:
        url = world.engine.url.render_as_string(hide_password=False)
        settings = world.settings.model_copy(update=login_settings(url))
    return CliRunner().invoke(main, list(arguments), env=settings.environment())


def test_configuration(world: World) -> None:
    before = config(world)
    prepared = admin.update_config(world.reader, {"dispute_period": 99, "resolver_reward_bps": 250})
    assert "Changes dispute_period from 15 to 99." in prepared.description
    assert "Changes resolver_reward_bps from 200 to 250." in prepared.description
    assert any("add up to 1050 bps; most buys will fail" in line for line in prepared.description)
    assert any("expired" in line for line in prepared.description)
    land(world, prepared)
    after = config(world)
    assert (after.dispute_period, after.resolver_reward_bps) == (99, 250)
    kept = (
        "protocol_fee_bps",
        "liquidity_provider_fee_bps",
        "proposal_approval_threshold",
        "dispute_success_threshold",
        "min_resolution_delay",
        "is_paused",
    )
    for name in kept:
        assert getattr(after, name) == getattr(before, name)
    for changes, fault in (
        ({}, "No value would change"),
        ({"dispute_period": 99}, "No value would change"),
        ({"dispute_period": 0}, ">= 1 - at `$.dispute_period`"),
        ({"protocol_fee_bps": 10_001}, "<= 10000 - at `$.protocol_fee_bps`"),
        ({"protocol_fee_bps": 9_999}, "add up to 10749 bps"),
        ({"admin": 1}, "admin: is not one of"),
    ):
        with pytest.raises(PrepareRefused, match=re.escape(fault)):
            admin.update_config(world.reader, changes)
    back = admin.update_config(
        world.reader,
        {"protocol_fee_bps": 0, "resolver_reward_bps": 0, "liquidity_provider_fee_bps": 0},
    )
    assert any("trading stops" in line for line in back.description)


def test_pause_is_refused_when_it_would_change_nothing(world: World) -> None:
    with pytest.raises(PrepareRefused, match="not paused already"):
        admin.pause(world.reader, paused=False)
    land(world, admin.pause(world.reader, paused=True))
    assert config(world).is_paused
    with pytest.raises(PrepareRefused, match="is paused already"):
        admin.pause(world.reader, paused=True)
    land(world, admin.pause(world.reader, paused=False))
    assert not config(world).is_paused


def test_approval_by_the_admin_alone(world: World) -> None:
    """Without the admin's key we ask for it, and the transaction in hand does the rest."""
    creator = wallet(1)
    world.fund(creator)
    market = world.propose(1, creator)
    world.settings = world.settings.model_copy(update={"admin_keypair": None})
    world.sync()
    with pytest.raises(PrepareRefused, match="0 likes and 0 dislikes"):
        admin.approve(world.reader, world.market(market))
    world.vote(market, [True] * 10)
    world.plan()
    world.drive()
    world.sync()
    assert world.plan() == []
    assert open_alerts(world) == {f"approval_needs_admin:{market.hex()}"}
    result = command(world, "admin", "prepare", "approve", market.hex(), "--json")
    assert result.exit_code == 0, result.output
    prepared = json.loads(result.stdout)
    assert "10 likes and 0 dislikes on chain, 10000 bps" in prepared["description"][0]
    world.rpc.send(signed(prepared["transaction"], world.chain.keys["admin"]))
    assert world.market(market).state == MarketState.APPROVED
    world.sync()
    assert world.plan() == []
    assert open_alerts(world) == set()
    with pytest.raises(PrepareRefused, match="APPROVED, not PROPOSED"):
        admin.approve(world.reader, world.market(market))

    land(world, admin.cancel(world.reader, world.market(market)))
    assert world.market(market).state == MarketState.CANCELLED
    with pytest.raises(PrepareRefused, match="MarketAlreadyCancelled"):
        admin.cancel(world.reader, world.market(market))


def test_expired_transaction_does_not_land(world: World) -> None:
    prepared = admin.pause(world.reader, paused=True)
    assert 0 < prepared.blocks_left <= 150
    world.chain.control.advance(slots=prepared.blocks_left + 2)
    with pytest.raises(RpcError, match="Blockhash not found"):
        world.rpc.send(signed(prepared.transaction, world.chain.keys["admin"]))


def test_the_command_speaks_plainly(world: World) -> None:
    result = command(world, "admin", "prepare", "pause", "on")
    assert result.exit_code == 0, result.output
    assert "not recorded in the audit log" in result.stderr, "Postgres is away here"
    *description, transaction = result.stdout.splitlines()
    assert description[0].startswith("- Pauses the protocol: ")
    assert str(world.chain.keys["admin"].pubkey()) in result.output
    assert VersionedTransaction.from_bytes(b64decode(transaction))
    assert command(world, "admin", "prepare", "pause", "off").exit_code == 1
    unknown = command(world, "admin", "prepare", "cancel", "0" * 64)
    assert unknown.exit_code == 1
    assert "is not on chain at confirmed" in unknown.output
    assert "neither an id" in command(world, "admin", "prepare", "approve", "x").output
    world.chain.stop(kill=True)
    gone = command(world, "admin", "prepare", "pause", "on")
    assert gone.exit_code == 2
    assert "the chain cannot be read" in gone.output


def test_switches_by_command(world: World) -> None:
    assert command(world, "switch", "finalize_market", "off").exit_code == 1
    assert "give the state" in command(world, "switch", "all").output
    assert "is not one of" in command(world, "switch", "everything", "on").output
    switched = command(world, "switch", "finalize_market", "off", "--reason", "wrong counts")
    assert switched.exit_code == 0
    assert "finalize_market           OFF: wrong counts" in switched.output.splitlines()
    assert open_alerts(world) == {"switch:finalize_market"}
    facts = json.loads(command(world, "switch", "--json").output)
    assert [one["action"] for one in facts if not one["enabled"]] == ["finalize_market"]
    assert command(world, "switch", "finalize_market", "on").exit_code == 0
    assert open_alerts(world) == set()


def test_votes_are_reopened_by_command(world: World) -> None:
    creator = wallet(1)
    world.fund(creator)
    market = world.approve(1, creator)
    reason = ("--reason", "a drill")
    blank = command(world, "admin", "reopen", market.hex(), "proposal", "--reason", " ")
    assert (blank.exit_code, "reason" in blank.output) == (1, True)
    again = command(world, "admin", "reopen", market.hex(), "proposal", *reason)
    assert again.exit_code == 0, again.output
    with world.engine.connect() as conn:
        assert tallies.current_tally(conn, market, "proposal").round == 1
        statuses = conn.execute(text("SELECT status FROM voting.tallies ORDER BY round")).scalars()
        assert list(statuses) == ["reopened", "open"]
    for wrong in (market.hex(), "zz", "00" * 32):
        refused = command(world, "admin", "reopen", wrong, "proposal", *reason)
        assert refused.exit_code == 1
        assert "has no frozen proposal vote" in refused.output
