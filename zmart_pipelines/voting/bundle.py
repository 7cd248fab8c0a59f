"""The ballot bundle of a submitted tally, from which anyone can recount it. Pure.

A bundle is one canonical document with the rules, the cut-off and every counted ballot with
its proof. If it would not fit a CIDv0 block, it is a root document that names numbered parts,
which contain the ballots in the same order. The root's CID goes on chain as a memo. The format
is described in ``docs/ballots.md``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from solders.pubkey import Pubkey
from solders.signature import Signature

from zmart_pipelines.ipfs.canonical_json import NotCanonical, canonical_bytes, parse_canonical
from zmart_pipelines.ipfs.cid import MAX_BLOCK, cid_v0
from zmart_pipelines.program.lifecycle import share_bps
from zmart_pipelines.proofs.sign_in_text import parse_sign_in
from zmart_pipelines.proofs.signatures import is_signed_by
from zmart_pipelines.voting.ballot import SCHEME, BallotRejected, Kind, parse
from zmart_pipelines.voting.tallies import CountedBallot, FrozenTally

FORMAT = "zmart-ballots"
PART_FORMAT = "zmart-ballots-part"
# Version 2: the documents are canonical JSON of RFC 8785. Other versions are not read.
VERSION = 2
# Precedes the CID in the memo of the submitting transaction.
MEMO_PREFIX = "zmart ballots "
ELIGIBILITY: dict[Kind, str] = {"proposal": "any wallet", "dispute": "holders of shares"}


# The format name of version 1, which had no version number.
_FORMAT_1 = "zmart-ballots-1"

T = TypeVar("T")


class RuleValues(msgspec.Struct, frozen=True):
    """The rules in force at the cut-off, as the bundle contains them.

    Attributes:
        threshold_bps: Share of votes needed, in basis points.
        minimum_ballots: Ballots needed.
        eligibility: Who may vote, in words.
        weight_unit: Shares (9 decimals) that make one vote; None: each wallet counts once.
    """

    threshold_bps: int
    minimum_ballots: int
    eligibility: str
    weight_unit: int | None = None


class Network(msgspec.Struct, frozen=True):
    """The chain of a vote.

    Attributes:
        program: The program's address, 32 bytes.
        name: The network's name, as the ballots contain it.
        genesis: The genesis hash, base58, which identifies the chain.
    """

    program: bytes
    name: str
    genesis: str


class BundleBallot(msgspec.Struct, frozen=True):
    """One ballot as it is counted. ``voted_at``: chain second of a vote on chain."""

    wallet: str
    choice: bool
    source: str
    weight: int
    voted_at: int | None


class Bundle(msgspec.Struct, frozen=True):
    """The blocks to pin: the root's CID, and every block by its CID."""

    cid: str
    blocks: dict[str, bytes]


class Recount(msgspec.Struct, frozen=True):
    """The content of a recounted bundle.

    Attributes:
        slot: Finalized slot of the cut-off.
        chain_time: The chain's clock at the cut-off, Unix seconds.
        votes_for: Sum of weights, as it goes on chain; weights are 1 without a ``weight_unit``.
        votes_against: Sum of weights, as it goes on chain.
        from_chain: Number of votes cast on chain.
        unbound: Number of ballots of older schemes, whose signed text names no market and no
            choice: their signature proves the wallet, not the vote.
        problems: What is wrong; empty when the bundle is valid.
    """

    cid: str
    program: str
    network: str
    genesis: str
    market_id: str
    kind: Kind
    round: int
    slot: int
    chain_time: int
    threshold_bps: int
    minimum_ballots: int
    weight_unit: int | None
    votes_for: int
    votes_against: int
    from_chain: int
    unbound: int
    ballots: tuple[BundleBallot, ...]
    problems: tuple[str, ...]


class BundleError(ValueError):
    """The blocks are not a bundle; the message says why."""


_Weight = Annotated[int, msgspec.Meta(ge=1)]


class _Rules(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    threshold_bps: int
    minimum_ballots: int
    eligibility: str
    weight_unit: _Weight | None = None


class _Cutoff(msgspec.Struct, forbid_unknown_fields=True):
    slot: int
    chain_time: int


class _Counts(msgspec.Struct, forbid_unknown_fields=True):
    votes_for: int
    votes_against: int
    total: int
    share_bps: int
    ballots: int


class _Ballot(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    wallet: str
    choice: bool
    source: str
    weight: _Weight = 1
    scheme: str | None = None
    message: str | None = None
    signature: str | None = None
    voted_at: int | None = None


class _Header(msgspec.Struct):
    format: str
    version: int = 1


class _Root(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    format: str
    version: int
    program: str
    network: str
    genesis: str
    market: str
    kind: Kind
    round: int
    cutoff: _Cutoff
    rules: _Rules
    counts: _Counts
    ballots: list[_Ballot] | None = None
    parts: list[str] | None = None


class _Part(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    version: int
    number: int
    ballots: list[_Ballot]


def make(
    frozen: FrozenTally,
    *,
    network: Network,
    rules: RuleValues,
    block_size: int = MAX_BLOCK,
) -> Bundle:
    """Return the bundle of a frozen tally; the same tally and rules give the same CID."""
    tally = frozen.tally
    root: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "program": str(Pubkey(network.program)),
        "network": network.name,
        "genesis": network.genesis,
        "market": tally.market_id.hex(),
        "kind": tally.kind,
        "round": tally.round,
        "cutoff": {"slot": tally.frozen_slot, "chain_time": tally.frozen_chain_time},
        "rules": {
            name: value
            for name, value in msgspec.structs.asdict(rules).items()
            if value is not None
        },
        "counts": {
            "votes_for": tally.votes_for,
            "votes_against": tally.votes_against,
            "total": tally.total,
            "share_bps": share_bps(tally.votes_for, tally.total),
            "ballots": len(frozen.ballots),
        },
    }
    ballots = [_as_document(ballot) for ballot in frozen.ballots]
    whole = canonical_bytes(root | {"ballots": ballots})
    if len(whole) <= block_size:
        cid = cid_v0(whole)
        return Bundle(cid, {cid: whole})
    parts = _parts(ballots, block_size)
    cids = [cid_v0(part) for part in parts]
    head = canonical_bytes(root | {"parts": cids})
    cid = cid_v0(head)
    return Bundle(cid, dict(zip(cids, parts, strict=True)) | {cid: head})


def _as_document(ballot: CountedBallot) -> dict[str, Any]:
    weight = {} if ballot.weight == 1 else {"weight": ballot.weight}
    return {
        "wallet": str(Pubkey(ballot.wallet)),
        "choice": ballot.choice,
        "source": ballot.source,
        **weight,
        **ballot.proof,
    }


def _parts(ballots: Sequence[dict[str, Any]], block_size: int) -> list[bytes]:
    """Return the parts: the ballots in order, as many per part as fit its block."""
    parts: list[bytes] = []
    rest = list(ballots)
    while rest:
        # The sizes of the ballots plus one comma each add up to the size of the list.
        room = block_size - len(canonical_bytes(_part(len(parts), [])))
        count = 0
        for ballot in rest:
            room -= len(canonical_bytes(ballot)) + 1
            if room < -1:
                break
            count += 1
        parts.append(canonical_bytes(_part(len(parts), rest[:count])))
        rest = rest[count:]
    return parts


def _part(number: int, ballots: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "format": PART_FORMAT,
        "version": VERSION,
        "number": number,
        "ballots": list(ballots),
    }


def roots(blocks: Mapping[str, bytes]) -> list[str]:
    """Return the CIDs of the blocks that name the format of a bundle's root, of any version."""
    found = []
    for cid, data in blocks.items():
        try:
            header = msgspec.json.decode(data, type=_Header)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            continue
        if header.format in (FORMAT, _FORMAT_1):
            found.append(cid)
    return found


def recount(cid: str, get: Callable[[str], bytes]) -> Recount:
    """Recount a bundle from its blocks alone.

    Every block must be the bytes of its CID and canonical, every proof must be valid and state
    what is counted, every wallet must count once, and the counts must be those of the ballots.
    The caller compares the counts with the chain.

    Args:
        cid: The root's CID.
        get: Returns a block's bytes by its CID; its exceptions propagate.

    Raises:
        BundleError: The blocks cannot be read as a bundle.
    """
    root = _block(cid, get, _Root, FORMAT)
    if (root.ballots is None) == (root.parts is None):
        raise BundleError("a bundle must have either ballots or parts")
    ballots = list(root.ballots or [])
    for number, part_cid in enumerate(root.parts or []):
        part = _block(part_cid, get, _Part, PART_FORMAT)
        if part.number != number:
            raise BundleError(f"part {number} of the bundle names itself part {part.number}")
        ballots += part.ballots
    problems = [
        f"ballot {number} of {ballot.wallet}: {problem}"
        for number, ballot in enumerate(ballots)
        if (problem := _problem(root, ballot)) is not None
    ]
    repeated = sorted(
        wallet for wallet, times in Counter(row.wallet for row in ballots).items() if times > 1
    )
    if repeated:
        problems.append(f"counted more than once: {', '.join(repeated)}")
    total = sum(ballot.weight for ballot in ballots)
    votes_for = sum(ballot.weight for ballot in ballots if ballot.choice)
    found = _Counts(votes_for, total - votes_for, total, share_bps(votes_for, total), len(ballots))
    if found != root.counts:
        problems.append(
            f"the ballots add up to {_counts_text(found)}, the bundle states"
            f" {_counts_text(root.counts)}"
        )
    return Recount(
        cid=cid,
        program=root.program,
        network=root.network,
        genesis=root.genesis,
        market_id=root.market,
        kind=root.kind,
        round=root.round,
        slot=root.cutoff.slot,
        chain_time=root.cutoff.chain_time,
        threshold_bps=root.rules.threshold_bps,
        minimum_ballots=root.rules.minimum_ballots,
        weight_unit=root.rules.weight_unit,
        votes_for=votes_for,
        votes_against=total - votes_for,
        from_chain=sum(ballot.source == "chain" for ballot in ballots),
        unbound=sum(ballot.source == "wallet" and ballot.scheme != SCHEME for ballot in ballots),
        ballots=tuple(
            BundleBallot(row.wallet, row.choice, row.source, row.weight, row.voted_at)
            for row in ballots
        ),
        problems=tuple(problems),
    )


def _counts_text(counts: _Counts) -> str:
    return (
        f"{counts.votes_for} for and {counts.votes_against} against ({counts.share_bps} bps) in"
        f" {counts.ballots} ballots"
    )


def _block(cid: str, get: Callable[[str], bytes], kind: type[T], expected_format: str) -> T:
    data = get(cid)
    if len(data) > MAX_BLOCK or cid_v0(data) != cid:
        raise BundleError(f"the block of {cid} contains other bytes")
    try:
        parse_canonical(data)
        header = msgspec.json.decode(data, type=_Header)
        _check_header(header, expected_format)
        return msgspec.json.decode(data, type=kind)
    except (NotCanonical, msgspec.MsgspecError) as error:
        raise BundleError(f"the block {cid} is not part of a bundle: {error}") from None


def _check_header(header: _Header, expected_format: str) -> None:
    version = 1 if header.format == _FORMAT_1 else header.version
    if header.format not in (expected_format, _FORMAT_1):
        raise BundleError(f"the format is {header.format!r}, not {expected_format!r}")
    if version != VERSION:
        raise BundleError(
            f"the bundle has format version {version}; only version {VERSION} is supported"
        )


def _problem(root: _Root, ballot: _Ballot) -> str | None:
    """Return what is wrong with a ballot, None when its proof is valid."""
    if ballot.weight != 1 and root.rules.weight_unit is None:
        return f"its weight is {ballot.weight}, but each wallet counts once"
    if ballot.source == "chain":
        # Its proof is the VoteRecord on chain, at the address of market, wallet and kind.
        return None if ballot.voted_at is not None else "it is a vote on chain without its time"
    if ballot.source != "wallet":
        return f"its source {ballot.source!r} is unknown"
    if ballot.scheme is None or ballot.message is None or ballot.signature is None:
        return "its scheme, message or signature is missing"
    try:
        program = bytes(Pubkey.from_string(root.program))
        wallet = bytes(Pubkey.from_string(ballot.wallet))
        signature = bytes(Signature.from_string(ballot.signature))
    except ValueError:
        return "the program, its wallet or its signature is not base58"
    if not is_signed_by(ballot.message, signature, wallet, program):
        return "the signature is not the wallet's for this message"
    if ballot.scheme == SCHEME:
        return _text_problem(root, ballot, ballot.message)
    sign_in = parse_sign_in(ballot.message)
    if sign_in is None or sign_in.scheme != ballot.scheme:
        return f"the message is not a text of the scheme {ballot.scheme!r}"
    return None


def _text_problem(root: _Root, ballot: _Ballot, message: str) -> str | None:
    """Return what is wrong with the signed text of a ballot, None when it is the ballot's."""
    try:
        text = parse(message)
    except BallotRejected as rejection:
        return f"the message {rejection.reason}"
    signed = (str(Pubkey(text.program)), text.network, text.market_id.hex(), text.kind, text.round)
    if signed != (root.program, root.network, root.market, root.kind, root.round):
        return "the message is for another program, network, market, vote or round"
    if text.choice != ballot.choice:
        return "the message states the other choice"
    return None
