"""Verification with only a bundle and an RPC endpoint; every manipulation has a message."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature

from tests.fixtures.localnet import StartLocalnet
from tests.submissions.world import QUESTION, World
from tests.voting.world import ballot, wallet
from zmart_pipelines.cli import main
from zmart_pipelines.ipfs.canonical_json import canonical_bytes
from zmart_pipelines.ipfs.cid import cid_v0
from zmart_pipelines.program import instructions as ix
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.submissions.actions import memo


def voted(world: World, number: int = 1) -> tuple[bytes, str]:
    """A proposal with nine ballots and one vote on chain, aggregated; its bundle's CID."""
    creator, onchain = wallet(1), wallet(40)
    world.fund(creator, onchain)
    market = world.propose(number, creator)
    world.send(
        onchain,
        ix.submit_proposal_vote(
            world.program, user=onchain.pubkey(), market=world.address(market), vote=True
        ),
    )
    world.pass_time(5)
    world.vote(market, [True] * 8 + [False])
    planned = world.plan()
    assert {one.status for one in world.drive().outcomes} == {"final"}
    world.sync()
    cid = planned[0].bundle_cid
    assert cid is not None
    return market, cid


def verify(world: World, tmp_path: Path, *arguments: str, rpc: str | None = None) -> Result:
    """Run the command with an empty folder, no database and no setting but the endpoint."""
    environment = {
        "ZMART_STATE": str(tmp_path / "empty"),
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "SOLANA_RPC_URL": "http://127.0.0.1:1",
        "SOLANA_RPC_URLS": "http://127.0.0.1:1,http://127.0.0.1:2",
    }
    url = rpc or world.chain.rpc_url
    return CliRunner().invoke(main, ["verify-tally", *arguments, "--rpc-url", url], env=environment)


def published(world: World, cid: str, folder: Path) -> Path:
    """The bundle's file, handed over under another name."""
    folder.mkdir(exist_ok=True)
    file = folder / "ballots.json"
    file.write_bytes(world.pins.get(cid))
    return file


def test_a_stranger_verifies_and_every_lie_is_named(world: World, tmp_path: Path) -> None:
    market, cid = voted(world)
    file = published(world, cid, tmp_path / "handed-over")
    for arguments in (
        (cid, "--bundle", str(file.parent)),
        (market.hex(), "--bundle", str(file)),
        (str(world.address(market)), "--bundle", str(file)),
        ("--bundle", str(file)),
    ):
        result = verify(world, tmp_path, *arguments)
        assert result.exit_code == 0, result.output
        assert "9 for, 1 against, 9000 bps of 7000 needed; 10 ballots, 1 of them" in result.output
        assert "every proof is valid" in result.output
    facts = json.loads(verify(world, tmp_path, cid, "--bundle", str(file), "--json").output)
    assert facts["problems"] == []
    assert (facts["ballots"], facts["submission"]["bundle_cid"]) == (10, cid)
    assert not (tmp_path / "empty").exists(), "verifying writes nothing"

    # One flipped byte: under the right CID it is not found, by itself it is another bundle.
    data = bytearray(file.read_bytes())
    place = data.index(b'"signature":"') + 20
    data[place] = data[place] ^ 1
    file.write_bytes(bytes(data))
    flipped = verify(world, tmp_path, cid, "--bundle", str(file))
    assert (flipped.exit_code, "holds the bytes of " + cid in flipped.output) == (2, True)
    flipped = verify(world, tmp_path, "--bundle", str(file))
    assert flipped.exit_code == 1
    assert "its wallet or its signature is not base58" in flipped.output or (
        "the signature is not the wallet's" in flipped.output
    )

    document = json.loads(world.pins.get(cid))
    for change, words in LIES:
        lie = copy.deepcopy(document)
        change(lie)
        file.write_bytes(canonical_bytes(lie))
        result = verify(world, tmp_path, "--bundle", str(file))
        assert result.exit_code == 1, (words, result.output)
        assert words in result.output, result.output

    # Whoever changes a bundle gives it another CID, and the memo names the first.
    _drop_honestly(document)
    file.write_bytes(canonical_bytes(document))
    dropped = verify(world, tmp_path, "--bundle", str(file)).output
    assert f"wrote 9 for and 1 against, names the bundle {cid}" in dropped
    assert "the market's account has 9 for and 1 against, the ballots give 8 and 1" in dropped
    assert cid_v0(file.read_bytes()) != cid


def _wallets(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in document["ballots"] if one["source"] == "wallet"]


def _drop(document: dict[str, Any]) -> None:
    document["ballots"].remove(next(one for one in _wallets(document) if one["choice"]))


def _drop_honestly(document: dict[str, Any]) -> None:
    _drop(document)
    document["counts"] |= {"ballots": 9, "total": 9, "votes_for": 8, "share_bps": 8888}


def _forge(document: dict[str, Any]) -> None:
    """A ballot of a wallet that never voted, with a signature of another key."""
    other = Keypair.from_seed(bytes([99] * 32))
    _wallets(document)[0]["wallet"] = str(other.pubkey())


def _drop_chain(document: dict[str, Any]) -> None:
    document["ballots"] = _wallets(document)
    document["counts"] |= {"ballots": 9, "total": 9, "votes_for": 8, "share_bps": 8888}


def _ballot_over_record(document: dict[str, Any]) -> None:
    """The chain's vote replaced by the wallet's own ballot, with the other choice."""
    key = wallet(40)
    signed = ballot(bytes.fromhex(document["market"]), key, False)
    place = next(n for n, one in enumerate(document["ballots"]) if one["source"] == "chain")
    document["ballots"][place] = {
        "wallet": str(key.pubkey()),
        "choice": False,
        "source": "wallet",
        "scheme": "zmart-1",
        "message": signed.message,
        "signature": str(Signature(signed.signature)),
    }


def _invent_chain(document: dict[str, Any]) -> None:
    first = _wallets(document)[0]
    for name in ("scheme", "message", "signature"):
        del first[name]
    first |= {"source": "chain", "voted_at": 17}


def _chain(document: dict[str, Any]) -> dict[str, Any]:
    return next(one for one in document["ballots"] if one["source"] == "chain")


LIES: list[tuple[Callable[[dict[str, Any]], None], str]] = [
    (
        _drop,
        "the ballots add up to 8 for and 1 against (8888 bps) in 9 ballots, the bundle states 9",
    ),
    (_drop_honestly, "the memo names another bundle: the transaction"),
    (_forge, "the signature is not the wallet's for this message"),
    (lambda d: d.update(program=str(Keypair().pubkey())), "the bundle is for the program"),
    (lambda d: d.update(genesis="1" * 32), "the bundle is for the chain"),
    (lambda d: d.update(network="devnet"), "the ballots are for devnet, but"),
    (lambda d: d.update(market="00" * 32), "is not on chain"),
    (_drop_chain, f"the vote of {wallet(40).pubkey()} on chain, cast before the cut-off, is not"),
    (_ballot_over_record, "voted on chain before the cut-off; that vote counts"),
    (_invent_chain, "but there is none"),
    (lambda d: _chain(d).update(voted_at=1), "on chain differs from the bundle"),
    (lambda d: d.update(kind="dispute"), "no transaction of the market has written counts"),
]


def test_another_program_and_another_chain(
    world: World, tmp_path: Path, start_localnet: StartLocalnet
) -> None:
    _, cid = voted(world)
    file = published(world, cid, tmp_path / "handed-over")
    other = str(Keypair().pubkey())
    result = verify(world, tmp_path, "--bundle", str(file), "--program", other)
    assert result.exit_code == 1
    assert f"the bundle is for the program {world.program}, not for {other}" in result.output
    elsewhere = start_localnet("--seed", "8")
    result = verify(world, tmp_path, "--bundle", str(file), rpc=elsewhere.rpc_url)
    assert result.exit_code == 1
    assert "the bundle is for the chain" in result.output
    result = verify(world, tmp_path, "--bundle", str(file), "--program", "nonsense")
    assert (result.exit_code, "--program" in result.output) == (2, True)
    world.chain.stop(kill=True)
    result = verify(world, tmp_path, "--bundle", str(file))
    assert (result.exit_code, "cannot be verified" in result.output) == (2, True)


def test_counts_written_behind_the_bundle(world: World, tmp_path: Path) -> None:
    """The backend's key writes other numbers, or names another bundle: both are seen."""
    creator = wallet(1)
    world.fund(creator)
    market = world.propose(1, creator)
    world.settings = world.settings.model_copy(update={"admin_keypair": None})
    world.sync()
    world.vote(market, [True] * 9 + [False])
    cid = world.plan()[0].bundle_cid
    assert cid is not None
    world.drive()
    file = published(world, cid, tmp_path / "handed-over")
    assert verify(world, tmp_path, "--bundle", str(file)).exit_code == 0
    backend = world.chain.keys["backend"]

    def aggregate(likes: int, name: str) -> None:
        world.send(
            backend,
            memo(name),
            ix.aggregate_proposal_votes(
                world.program,
                backend_authority=backend.pubkey(),
                market=world.address(market),
                likes=likes,
                dislikes=1,
            ),
        )
        world.chain.control.finalize()

    aggregate(50, cid)
    result = verify(world, tmp_path, "--bundle", str(file))
    assert result.exit_code == 1
    assert "wrote 50 for and 1 against; the ballots give 9 and 1" in result.output
    assert "the market's account has 50 for and 1 against" in result.output
    aggregate(9, QUESTION.decode())
    result = verify(world, tmp_path, market.hex(), "--bundle", str(file))
    assert result.exit_code == 2
    assert f"holds the bytes of {QUESTION.decode()}" in result.output


def test_dispute_votes_of_holders_only(world: World, tmp_path: Path) -> None:
    creator, holders = wallet(1), [wallet(number) for number in range(1, 8)]
    world.fund(creator, *holders)
    market = world.approve(1, creator)
    world.trade(market, creator, *holders)
    world.resolve(market, creator)
    world.dispute(market, holders[0])
    world.sync()
    world.vote(market, [True] * 7, kind="dispute")
    world.pass_time(20)
    cid = world.plan()[0].bundle_cid
    assert cid is not None
    assert {one.status for one in world.drive().outcomes} == {"final"}
    assert world.market(market).state == MarketState.FINALIZED
    file = published(world, cid, tmp_path / "handed-over")
    result = verify(world, tmp_path, market.hex(), "--bundle", str(file))
    assert result.exit_code == 0, result.output
    assert "dispute of market" in result.output
    proposal = verify(world, tmp_path, market.hex(), "--kind", "proposal", "--bundle", str(file))
    assert proposal.exit_code == 2, "that one is another bundle"

    document = json.loads(file.read_bytes())
    _strange_holder(document)
    file.write_bytes(canonical_bytes(document))
    result = verify(world, tmp_path, "--bundle", str(file))
    assert f"the wallet {wallet(77).pubkey()} held no shares of the market" in result.output


def test_a_dispute_in_which_shares_weigh(world: World, tmp_path: Path) -> None:
    """From holdings to ballots, votes on chain, counts, bundle and the recount."""
    unit = 10**9
    world.settings = world.settings.model_copy(update={"dispute_weight_unit": unit})
    creator, *holders = wallets = [wallet(number) for number in range(1, 5)]
    world.fund(*wallets)
    market = world.approve(1, creator)
    world.trade(market, creator, creator, *holders, holders[0], holders[0], holders[1])
    world.resolve(market, creator)
    world.dispute(market, holders[0])
    world.send(
        holders[1],
        ix.submit_dispute_vote(
            world.program, user=holders[1].pubkey(), market=world.address(market), vote=False
        ),
    )
    world.sync()
    world.vote(market, [False, True], kind="dispute")  # creator and the holder of most
    world.pass_time(20)
    (planned,) = world.plan()
    shares = {
        Pubkey(one.user): one.shares_yes + one.shares_no
        for one in world.reader.positions(market).value
    }
    weights = [shares[one.pubkey()] // unit for one in wallets]
    assert weights[1] > weights[2] > weights[0] >= 1
    agree, disagree = weights[1], weights[0] + weights[2]
    assert planned.arguments == {"agree": agree, "disagree": disagree}
    assert {one.status for one in world.drive().outcomes} == {"final"}
    account = world.market(market)
    assert (account.dispute_agree, account.dispute_disagree) == (agree, disagree)
    assert planned.bundle_cid is not None
    file = published(world, planned.bundle_cid, tmp_path / "handed-over")
    result = verify(world, tmp_path, market.hex(), "--bundle", str(file))
    assert result.exit_code == 0, result.output
    assert f"{agree} for, {disagree} against" in result.output
    assert "3 ballots, 1 of them cast on chain" in result.output

    document = json.loads(file.read_bytes())
    heaviest = max(document["ballots"], key=lambda one: one.get("weight", 1))
    heaviest["weight"] += 1
    file.write_bytes(canonical_bytes(document))
    result = verify(world, tmp_path, "--bundle", str(file))
    assert (
        f"has weight {weights[1] + 1}; {shares[holders[0].pubkey()]} shares give {weights[1]}"
        in (result.output)
    )


def _strange_holder(document: dict[str, Any]) -> None:
    key = wallet(77)
    signed = ballot(bytes.fromhex(document["market"]), key, True, kind="dispute")
    document["ballots"][0] |= {
        "wallet": str(key.pubkey()),
        "message": signed.message,
        "signature": str(Signature(signed.signature)),
    }


def test_missing_bundle_or_chain_is_reported(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "note.txt").write_text("no bundle")
    runner = CliRunner()
    environment = {"ZMART_STATE": str(tmp_path / "none"), "SOLANA_RPC_URL": "http://127.0.0.1:1"}
    result = runner.invoke(main, ["verify-tally"], env=environment)
    assert (result.exit_code, "name the bundle's CID" in result.output) == (2, True)
    result = runner.invoke(main, ["verify-tally", "--bundle", str(empty)], env=environment)
    assert (result.exit_code, "give --bundle with a bundle in it" in result.output) == (2, True)


@pytest.mark.slow
def test_over_six_hundred_ballots_in_parts(world: World, tmp_path: Path) -> None:
    """A real vote whose bundle outgrows one block of IPFS, from ballot to recount."""
    creator = wallet(1)
    world.fund(creator)
    market = world.propose(1, creator)
    world.sync()
    world.vote(market, [True] * 620)
    cid = world.plan()[0].bundle_cid
    assert cid is not None
    assert {one.status for one in world.drive().outcomes} == {"final"}
    root = json.loads(world.pins.get(cid))
    assert len(root["parts"]) == 2
    folder = tmp_path / "blocks"
    folder.mkdir()
    for number, block in enumerate([cid, *root["parts"]]):
        (folder / str(number)).write_bytes(world.pins.get(block))
    result = verify(world, tmp_path, market.hex(), "--bundle", str(folder))
    assert result.exit_code == 0, result.output
    assert "620 for, 0 against" in result.output
    (folder / "2").unlink()
    result = verify(world, tmp_path, market.hex(), "--bundle", str(folder))
    assert (result.exit_code, root["parts"][1] in result.output) == (2, True)
