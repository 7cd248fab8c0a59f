"""The recount in the browser comes to the verdicts of ``zmart verify-tally``."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from solders.pubkey import Pubkey
from solders.signature import Signature

from tests.fixtures.browser_recount import Case, Verdict, recount_in_browser
from tests.voting.test_bundle import CHAIN_VOTE, RULES, frozen, make, older, weighted
from tests.voting.world import ballot, market_id, wallet
from zmart_pipelines.ipfs.canonical_json import canonical_bytes
from zmart_pipelines.ipfs.cid import cid_v0
from zmart_pipelines.program.ids import DEFAULT_PROGRAM_ID
from zmart_pipelines.proofs.signatures import envelopes, is_signed_by
from zmart_pipelines.voting.ballot import SignedBallot
from zmart_pipelines.voting.bundle import Bundle, BundleError, recount

pytestmark = pytest.mark.process

Change = Callable[[dict[str, Any]], None]

# The encodings of points of small order, with the sign bit and without.
SMALL_ORDER = [
    bytes.fromhex(point)[:31] + bytes([bytes.fromhex(point)[31] | sign])
    for point in (
        "00" * 32,
        "01" + "00" * 31,
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
    )
    for sign in (0, 0x80)
]


def of(made: Bundle) -> Case:
    return Case(made.cid, made.blocks)


def changed(change: Change, made: Bundle | None = None) -> Case:
    """The bundle changed and published under its new CID, as a liar would."""
    made = made or make(frozen(4, 0))
    document = copy.deepcopy(json.loads(made.blocks[made.cid]))
    change(document)
    return document_case(canonical_bytes(document), made)


def document_case(data: bytes, made: Bundle) -> Case:
    return Case(cid_v0(data), {**made.blocks, cid_v0(data): data})


def text_with(line: str, value: str) -> Change:
    """Sign a text with another value in one of its lines."""

    def change(document: dict[str, Any]) -> None:
        key = wallet(77)
        text = ballot(market_id(1), key).message
        lines = [
            f"{line}: {value}" if one.startswith(f"{line}: ") else one for one in text.split("\n")
        ]
        sign(document, key, "\n".join(lines).encode(), "\n".join(lines))

    return change


def sign(document: dict[str, Any], key: Any, signed: bytes, message: str) -> None:
    document["ballots"][0] |= {
        "wallet": str(key.pubkey()),
        "message": message,
        "signature": str(key.sign_message(signed)),
        "source": "wallet",
        "scheme": "zmart-1",
    }
    document["ballots"][0].pop("voted_at", None)


def enveloped(number: int) -> Change:
    def change(document: dict[str, Any]) -> None:
        key = wallet(77)
        text = ballot(market_id(1), key).message
        wrapped = list(envelopes(text.encode(), bytes(key.pubkey()), bytes(DEFAULT_PROGRAM_ID)))
        sign(document, key, wrapped[number], text)

    return change


def small_key(point: bytes) -> Change:
    """The signature that everything has under a key of small order."""

    def change(document: dict[str, Any]) -> None:
        document["ballots"][0] |= {
            "wallet": str(Pubkey(point)),
            "signature": str(Signature(point + bytes(32))),
        }

    return change


def updated(**values: Any) -> Change:
    return lambda document: document.update(values)


def first(**values: Any) -> Change:
    return lambda document: document["ballots"][0].update(values)


CASES: dict[str, Case] = {
    "honest": of(make(frozen(7, 2, CHAIN_VOTE, older()))),
    "without ballots": of(make(frozen(0, 0))),
    "in parts": of(make(frozen(40, 10, CHAIN_VOTE), 3000)),
    "weighted": of(
        make(weighted(1, 7, 2), rules=msgspec.structs.replace(RULES, weight_unit=10**9))
    ),
    "weighted without a unit": of(make(weighted(1, 7, 2))),
    "dropped ballot": changed(lambda d: d["ballots"].pop(0)),
    "repeated ballot": changed(lambda d: d["ballots"].append(d["ballots"][0])),
    "other wallet": changed(first(wallet=str(wallet(99).pubkey()))),
    "other choice": changed(lambda d: d["ballots"][0].update(choice=not d["ballots"][0]["choice"])),
    "other network": changed(updated(network="mainnet")),
    "other round": changed(updated(round=1)),
    "other share": changed(lambda d: d["counts"].update(share_bps=9999)),
    "no signature": changed(lambda d: d["ballots"][0].pop("signature")),
    "null signature": changed(first(signature=None)),
    "invalid signature": changed(first(signature="0")),
    "unknown source": changed(first(source="dream")),
    "null weight": changed(first(weight=None)),
    "weight of 0": changed(first(weight=0)),
    "text as count": changed(lambda d: d["counts"].update(total="5")),
    "unknown field": changed(updated(extra=1)),
    "missing field": changed(lambda d: d.pop("cutoff")),
    "null parts": changed(updated(parts=None)),
    "both ballots and parts": changed(updated(parts=[])),
    "other kind": changed(updated(kind="election")),
    "older version": changed(updated(version=1)),
    "no version": changed(lambda d: d.pop("version")),
    "other format": changed(updated(format="zmart-ballots-part")),
    "other program": changed(updated(program=str(wallet(5).pubkey()))),
    "program not base58": changed(updated(program="0OIl")),
    "no object": document_case(b"[]", make(frozen(1, 0))),
    "no JSON": document_case(b"{", make(frozen(1, 0))),
    "not UTF-8": document_case(b'{"a":"\xff"}', make(frozen(1, 0))),
    "byte order mark": document_case(b"\xef\xbb\xbf{}", make(frozen(1, 0))),
    "lone surrogate": document_case(b'{"a":"\\ud800"}', make(frozen(1, 0))),
    **{f"envelope {number}": changed(enveloped(number)) for number in range(7)},
    **{f"key of small order {n}": changed(small_key(one)) for n, one in enumerate(SMALL_ORDER)},
    **{
        f"line {line}={value!r}": changed(text_with(line, value))
        for line, value in (
            ("round", "00"),
            ("round", "1"),
            ("nonce", "short"),
            ("nonce", "n" * 900),
            ("network", "Localnet"),
            ("vote", "election"),
            ("choice", "agree"),
            ("market", "AB" * 32),
            ("program", "nonsense"),
            ("expires", "2026-02-30T00:00:00Z"),
            ("expires", "2026-11-20T24:00:00Z"),
            ("expires", "2026-11-20T12:00:00Z "),
            ("expires", "2026-11-20T12:00:00Z\nmore: 1"),
        )
    },
}


def spaced(case: Case) -> Case:
    """The same document in another form than the canonical one."""
    data = case.blocks[case.cid].replace(b'"version":2', b'"version": 2')
    return Case(cid_v0(data), {cid_v0(data): data})


def flipped(case: Case) -> Case:
    """One bit of the bytes changed, under the old CID."""
    data = bytearray(case.blocks[case.cid])
    data[100] ^= 1
    return Case(case.cid, {case.cid: bytes(data)})


HONEST = CASES["honest"]
CASES |= {
    "not canonical": spaced(HONEST),
    "other bytes": flipped(HONEST),
    "lost part": Case(
        CASES["in parts"].cid,
        {CASES["in parts"].cid: CASES["in parts"].blocks[CASES["in parts"].cid]},
    ),
    "integer beyond 2^53": document_case(
        HONEST.blocks[HONEST.cid].replace(b'"slot":1000', b'"slot":9007199254740993'),
        make(frozen(1, 0)),
    ),
}


def in_python(case: Case) -> Verdict:
    try:
        found = recount(case.cid, case.blocks.__getitem__)
    except (BundleError, KeyError) as error:
        return Verdict(error=str(error))
    counts = [found.votes_for, found.votes_against, found.from_chain, found.unbound]
    return Verdict(problems=[one.replace('"', "'") for one in found.problems], counts=counts)


@pytest.fixture(scope="module")
def verdicts() -> dict[str, Verdict]:
    return dict(zip(CASES, recount_in_browser(list(CASES.values())), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_the_browser_and_the_command_agree(name: str, verdicts: dict[str, Verdict]) -> None:
    ours, theirs = in_python(CASES[name]), verdicts[name]
    assert (theirs.error is None) == (ours.error is None), (ours, theirs)
    assert theirs.counts == ours.counts
    assert theirs.problems == ours.problems


def test_what_is_right_passes_and_what_is_wrong_does_not(verdicts: dict[str, Verdict]) -> None:
    """Guards the comparison against two recounts that find nothing, or everything."""
    right = {name for name, one in verdicts.items() if one.error is None and not one.problems}
    envelopes_ = {f"envelope {number}" for number in range(7)}
    assert right == {"honest", "without ballots", "in parts", "weighted", "null parts", *envelopes_}


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_no_signature_counts_under_a_key_of_small_order(point: bytes) -> None:
    assert not is_signed_by("text", point + bytes(32), point)


def test_signed_ballots_of_the_cases_are_real() -> None:
    signed = ballot(market_id(1), wallet(1))
    assert isinstance(signed, SignedBallot)
    assert is_signed_by(signed.message, signed.signature, signed.wallet)
