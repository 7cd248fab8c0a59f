"""Bundles: the same tally gives the same bytes, and a recount finds every manipulation."""

import copy
import json
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from solders.keypair import Keypair
from solders.signature import Signature

from tests.voting.world import ballot, market_id, wallet
from zmart_pipelines.ipfs.canonical_json import canonical_bytes
from zmart_pipelines.ipfs.cid import MAX_BLOCK, cid_v0
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID
from zmart_pipelines.voting import bundle
from zmart_pipelines.voting.ballot import SignedBallot
from zmart_pipelines.voting.bundle import BundleError, Recount, RuleValues, recount
from zmart_pipelines.voting.tallies import CountedBallot, FrozenTally, Tally

MARKET = market_id(1)
NETWORK = bundle.Network(bytes(DEFAULT_PROGRAM_ID), "localnet", "9" * 44)
RULES = RuleValues(threshold_bps=7000, minimum_ballots=10, eligibility="any wallet")


def counted(signed: SignedBallot, scheme: str = "zmart-1") -> CountedBallot:
    return CountedBallot(
        wallet=signed.wallet,
        source="wallet",
        choice=signed.choice,
        proof={
            "scheme": scheme,
            "message": signed.message,
            "signature": str(Signature(signed.signature)),
        },
    )


def frozen(yes: int, no: int, *others: CountedBallot) -> FrozenTally:
    ballots = [counted(ballot(MARKET, wallet(n + 1), n < yes)) for n in range(yes + no)] + list(
        others
    )
    ballots.sort(key=lambda one: one.wallet)
    votes_for = sum(one.choice for one in ballots)
    tally = Tally(
        market_id=MARKET,
        kind="proposal",
        round=0,
        status="frozen",
        votes_for=votes_for,
        votes_against=len(ballots) - votes_for,
        frozen_slot=1000,
        frozen_chain_time=1_790_000_000,
    )
    return FrozenTally(tally, tuple(ballots))


def make(
    tally: FrozenTally, block_size: int = MAX_BLOCK, rules: RuleValues = RULES
) -> bundle.Bundle:
    return bundle.make(
        tally,
        network=NETWORK,
        rules=rules,
        block_size=block_size,
    )


def recounted(made: bundle.Bundle) -> Recount:
    return recount(made.cid, made.blocks.__getitem__)


def tampered(made: bundle.Bundle, change: Callable[[dict[str, Any]], None]) -> Recount:
    """The root changed and published under its new CID, as a liar would."""
    document = copy.deepcopy(json.loads(made.blocks[made.cid]))
    change(document)
    data = canonical_bytes(document)
    return recount(cid_v0(data), {**made.blocks, cid_v0(data): data}.__getitem__)


CHAIN_VOTE = CountedBallot(
    wallet=bytes(wallet(500).pubkey()), source="chain", choice=False, proof={"voted_at": 17}
)


def older() -> CountedBallot:
    message = "Sign in to ZMART\nTimestamp: 1790000000000"
    key: Keypair = wallet(600)
    return counted(
        SignedBallot(
            market_id=MARKET,
            kind="proposal",
            wallet=bytes(key.pubkey()),
            choice=True,
            message=message,
            signature=bytes(key.sign_message(message.encode())),
        ),
        "login-header",
    )


def test_recount_of_an_honest_bundle() -> None:
    tally = frozen(7, 2, CHAIN_VOTE, older())
    made = make(tally)
    assert list(made.blocks) == [made.cid]
    assert make(tally) == made
    result = recounted(made)
    assert result.problems == ()
    assert (result.votes_for, result.votes_against) == (8, 3)
    assert (result.from_chain, result.unbound) == (1, 1)
    assert (result.market_id, result.slot) == (MARKET.hex(), 1000)


@pytest.mark.parametrize("block_size", [3000, 4321, 10_000])
def test_a_large_bundle_has_parts(block_size: int) -> None:
    tally = frozen(40, 10, CHAIN_VOTE)
    made = make(tally, block_size)
    assert len(made.blocks) > 2
    assert max(map(len, made.blocks.values())) <= block_size
    # No part has room for the first ballot of the next.
    root = json.loads(made.blocks[made.cid])
    sizes = [len(made.blocks[cid]) for cid in root["parts"]]
    assert min(sizes[:-1]) > block_size - 700
    result = recounted(made)
    assert result.problems == ()
    assert (result.votes_for, result.votes_against) == (40, 11)


def test_flipped_byte_is_found() -> None:
    made = make(frozen(3, 0))
    data = bytearray(made.blocks[made.cid])
    for place in range(0, len(data), 37):
        changed = bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(BundleError, match="other bytes"):
            recount(made.cid, {made.cid: changed}.__getitem__)


def test_dropped_part_is_found() -> None:
    made = make(frozen(40, 0), 3000)
    root = json.loads(made.blocks[made.cid])
    with pytest.raises(KeyError, match=root["parts"][1]):
        recount(
            made.cid, {k: v for k, v in made.blocks.items() if k != root["parts"][1]}.__getitem__
        )

    def drop(document: dict[str, Any]) -> None:
        del document["parts"][1]

    with pytest.raises(BundleError, match="part 1 of the bundle names itself part 2"):
        tampered(made, drop)


def _forge(document: dict[str, Any]) -> None:
    document["ballots"][0]["wallet"] = str(wallet(99).pubkey())


def _flip(document: dict[str, Any]) -> None:
    document["ballots"][0]["choice"] = not document["ballots"][0]["choice"]


def _elsewhere(document: dict[str, Any]) -> None:
    signed = ballot(market_id(2), wallet(77))
    document["ballots"][0] |= {
        "wallet": str(wallet(77).pubkey()),
        "message": signed.message,
        "signature": str(Signature(signed.signature)),
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["ballots"].pop(0), "the ballots add up to 2 for and 1 against"),
        (lambda d: d["ballots"].append(d["ballots"][0]), "counted more than once"),
        (_forge, "ballot 0 of .* is not the wallet's for this message"),
        (_flip, "ballot 0 of .* the message states the other choice"),
        (_elsewhere, "ballot 0 of .* is for another program, network, market"),
        (lambda d: d["ballots"][0].pop("signature"), "is missing"),
        (lambda d: d["ballots"][0].update(source="dream"), "source 'dream' is unknown"),
        (lambda d: d["ballots"][0].update(signature="0"), "is not base58"),
        (lambda d: d["counts"].update(share_bps=9999), r"\(9999 bps\)"),
        (lambda d: d.update(round=1), "is for another program"),
        (lambda d: d.update(network="mainnet"), "is for another program"),
    ],
)
def test_lies_are_named(change: Callable[[dict[str, Any]], None], words: str) -> None:
    made = make(frozen(3, 1))
    problems = "\n".join(tampered(made, change).problems)
    assert re.search(words, problems), problems


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(format="zmart-ballots-part"),
        lambda d: d.update(format="zmart-ballots-3"),
        lambda d: d.update(extra=1),
        lambda d: d.pop("cutoff"),
        lambda d: d.update(kind="election"),
        lambda d: d.update(parts=[]),
    ],
)
def test_other_documents_are_no_bundles(change: Callable[[dict[str, Any]], None]) -> None:
    with pytest.raises(BundleError):
        tampered(make(frozen(1, 0)), change)


@pytest.mark.parametrize(
    ("header", "version"),
    [
        ({"format": "zmart-ballots-1"}, 1),
        ({"format": "zmart-ballots"}, 1),
        ({"format": "zmart-ballots", "version": 3}, 3),
    ],
)
def test_other_format_versions_are_refused_by_name(header: dict[str, Any], version: int) -> None:
    def change(document: dict[str, Any]) -> None:
        del document["format"], document["version"]
        document.update(header)

    with pytest.raises(BundleError, match=f"has format version {version}; only version 2 is"):
        tampered(make(frozen(1, 0)), change)


def test_roots_of_every_version_are_found_for_a_clear_refusal() -> None:
    made = make(frozen(40, 0), 3000)
    assert bundle.roots(made.blocks) == [made.cid]
    assert bundle.roots({"old": b'{"format":"zmart-ballots-1"}', "other": b"[]"}) == ["old"]


def test_signed_message_keeps_its_bytes_whatever_its_normal_form() -> None:
    key: Keypair = wallet(601)
    message = "Sign in to A\u030angstro\u0308m"
    signed = SignedBallot(
        market_id=MARKET,
        kind="proposal",
        wallet=bytes(key.pubkey()),
        choice=True,
        message=message,
        signature=bytes(key.sign_message(message.encode())),
    )
    made = make(frozen(1, 0, counted(signed, "login-header")))
    assert message.encode() in made.blocks[made.cid]
    # Its signature is right, but no text of ours contains such a message.
    (problem,) = recounted(made).problems
    assert "is not a text of the scheme 'login-header'" in problem


@pytest.mark.parametrize(
    "message",
    [
        "Claim your airdrop!\nSign this message to authenticate with ZMART\n1790000000000",
        "Sign this message to authenticate with ZMART\n\nTimestamp: 1790000000000\nI hate this",
        "Sign in to ZMART\nTimestamp: 1790000000000",
    ],
)
def test_text_of_another_scheme_is_no_proof(message: str) -> None:
    key: Keypair = wallet(602)
    signed = SignedBallot(
        market_id=MARKET,
        kind="proposal",
        wallet=bytes(key.pubkey()),
        choice=True,
        message=message,
        signature=bytes(key.sign_message(message.encode())),
    )
    (problem,) = recounted(make(frozen(1, 0, counted(signed, "login-body")))).problems
    assert "is not a text of the scheme 'login-body'" in problem


def test_integers_beyond_those_of_json_are_refused() -> None:
    made = make(frozen(1, 0))
    data = made.blocks[made.cid].replace(b'"slot":1000', b'"slot":9007199254740992')
    with pytest.raises(BundleError, match="9007199254740992 exceeds"):
        recount(cid_v0(data), {cid_v0(data): data}.__getitem__)


def test_five_hundred_ballots_fit_one_block() -> None:
    made = make(frozen(500, 0))
    assert len(made.blocks) == 1


def test_a_bundle_over_one_block_has_parts_of_whole_blocks() -> None:
    """Beyond some 500 ballots, with the block size of IPFS itself."""
    chain_vote = msgspec.structs.replace(CHAIN_VOTE, wallet=bytes(wallet(9000).pubkey()))
    made = make(frozen(900, 301, chain_vote))
    root = json.loads(made.blocks[made.cid])
    assert len(root["parts"]) == 3
    assert "ballots" not in root
    assert all(len(block) <= MAX_BLOCK for block in made.blocks.values())
    result = recounted(made)
    assert result.problems == ()
    assert (result.votes_for, result.votes_against, len(result.ballots)) == (900, 302, 1202)


def weighted(*weights: int) -> FrozenTally:
    """A dispute whose wallets vote yes with these weights, in units of a share."""
    plain = frozen(len(weights), 0)
    ballots = tuple(
        msgspec.structs.replace(one, weight=weight)
        for one, weight in zip(plain.ballots, weights, strict=True)
    )
    tally = msgspec.structs.replace(
        plain.tally, votes_for=sum(weights), ballots=len(weights), weight_unit=10**9
    )
    return FrozenTally(tally, ballots)


def test_weights_are_summed_and_only_where_the_rules_have_a_unit() -> None:
    tally = weighted(1, 7, 2)
    made = make(tally, rules=msgspec.structs.replace(RULES, weight_unit=10**9))
    root = json.loads(made.blocks[made.cid])
    assert root["counts"] == {
        "ballots": 3,
        "share_bps": 10000,
        "total": 10,
        "votes_against": 0,
        "votes_for": 10,
    }
    assert [one.get("weight") for one in root["ballots"]] == [None, 7, 2]
    result = recounted(made)
    assert result.problems == ()
    assert (result.votes_for, result.weight_unit) == (10, 10**9)
    assert [one.weight for one in result.ballots] == [1, 7, 2]

    def heavier(document: dict[str, Any]) -> None:
        document["ballots"][1]["weight"] = 8

    assert "the ballots add up to 11 for and 0 against" in tampered(made, heavier).problems[0]
    problems = recounted(make(tally)).problems
    assert len(problems) == 2
    assert problems[0].endswith("its weight is 7, but each wallet counts once")
