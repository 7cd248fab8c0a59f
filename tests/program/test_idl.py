import json

import pytest

from zmart_pipelines.program import idl
from zmart_pipelines.program.accounts import (
    DISCRIMINATOR,
    GlobalConfig,
    MarketAccount,
    UserPosition,
    VoteRecord,
    field_offset,
)
from zmart_pipelines.program.errors import ProgramError

INSTRUCTIONS = {
    "initialize_global_config": "71d87a83e1d11637",
    "create_market": "67e261ebc8bcfbfe",
    "submit_proposal_vote": "b1bb3be61db90ef0",
    "aggregate_proposal_votes": "1a9c1215b9b0ca48",
    "approve_proposal": "886c665562720793",
    "activate_market": "0a1ac57471634859",
    "buy_shares": "28ef8a9a08256a6c",
    "sell_shares": "b8a4a910e79ec7c4",
    "resolve_market": "9b1750ad2e4a17ef",
    "initiate_dispute": "80f2a0172c3dab25",
    "submit_dispute_vote": "31df3d4298eb48e6",
    "aggregate_dispute_votes": "4a0e1e13d48d7019",
    "finalize_market": "10e1261cd5d901f7",
    "claim_winnings": "a1d7183b0eecf2dd",
    "withdraw_liquidity": "959e21b92ff3fd1f",
    "update_global_config": "a45482bd6f3afac8",
    "emergency_pause": "158f1b8ec8b5d2ff",
    "cancel_market": "cd7954d2de47960b",
}
EVENTS = {
    "GlobalConfigInitialized": "05ddac9e4d579d71",
    "MarketCreated": "58b882e7e254063a",
    "ProposalVoteSubmitted": "9c438f02d9a20638",
    "ProposalAggregated": "eaa647763cf38bd5",
    "ProposalApproved": "46319be49d2b5831",
    "MarketActivated": "c4494e30bb846b0b",
    "SharesBought": "f062450afdeae241",
    "SharesSold": "23e70535e49e71fb",
    "MarketResolved": "5943e65f8f6ac7ca",
    "DisputeInitiated": "966d5dfcc604b799",
    "DisputeVoteSubmitted": "2702d5c34e0ac172",
    "DisputeAggregated": "3a11d2a04b246926",
    "MarketFinalized": "533e42cc254ceab3",
    "WinningsClaimed": "bbb81dc436754696",
    "LiquidityWithdrawn": "f078498b9a1fda44",
    "ConfigUpdated": "28f1e67a0b13c6c2",
    "ProtocolPauseStatusChanged": "bd96d80167233167",
    "MarketCancelled": "8ba321a813b451aa",
}


def hexes(entries: tuple[idl.Named, ...] | tuple[idl.Instruction, ...]) -> dict[str, str]:
    return {entry.name: bytes(entry.discriminator).hex() for entry in entries}


def test_discriminators_are_the_deployed_ones() -> None:
    definition = idl.load()
    assert hexes(definition.instructions) == INSTRUCTIONS
    assert hexes(definition.events) == EVENTS
    assert {cls.__name__: tag.hex() for cls, tag in DISCRIMINATOR.items()} == {
        "GlobalConfig": "95089ccaa0fcb0d9",
        "MarketAccount": "c94ebbe1f0c6c9fb",
        "UserPosition": "fbf8d1f553ea111b",
        "VoteRecord": "70097ba5ea099da7",
    }


def test_a_wrong_discriminator_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    document = json.loads(idl.IDL_FILE.read_text())
    document["events"][0]["discriminator"][7] ^= 1
    changed = tmp_path_factory.mktemp("idl") / "changed.json"
    changed.write_text(json.dumps(document))
    monkeypatch.setattr(idl, "IDL_FILE", changed)
    with pytest.raises(idl.IdlError, match="ConfigUpdated"):
        idl.load.__wrapped__()


def test_error_numbers_are_the_definitions() -> None:
    definition = {error.name: error.code for error in idl.load().errors}
    assert {error.name: error.value for error in ProgramError} == definition
    assert sorted(definition.values()) == list(range(6000, 6052))


def test_offsets_for_filters() -> None:
    assert field_offset(MarketAccount, "market_id") == 8
    assert field_offset(MarketAccount, "creator") == 40
    assert field_offset(MarketAccount, "state") == 72
    assert field_offset(MarketAccount, "proposed_outcome") == 201
    assert field_offset(UserPosition, "market") == 8
    assert field_offset(UserPosition, "user") == 40
    assert field_offset(VoteRecord, "vote_type") == 72
    assert field_offset(VoteRecord, "vote") == 73
    assert field_offset(GlobalConfig, "bump") == 197
    with pytest.raises(KeyError):
        field_offset(MarketAccount, "final_outcome")
