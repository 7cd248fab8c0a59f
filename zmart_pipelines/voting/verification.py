"""What a stranger checks: a recounted bundle against the chain, by RPC alone.

Nothing of ours is believed. The program and the chain (by its genesis hash) must be the
expected ones; the transaction that wrote the counts must name the bundle in its memo and carry
the recounted numbers; the market's account must hold them; and every vote cast on chain before
the cut-off must be counted as it was cast.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
from solders.pubkey import Pubkey
from solders.signature import Signature

from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.chain.rpc_types import SignatureInfo
from zmart_pipelines.chain.transactions import RawTransaction, from_rpc
from zmart_pipelines.program.accounts import MarketAccount, UserPosition
from zmart_pipelines.program.addresses import market_address
from zmart_pipelines.program.calls import (
    AggregateProposalVotes,
    FinalizeMarket,
    decode_instruction,
)
from zmart_pipelines.program.codec import DecodeError
from zmart_pipelines.program.ids import MEMO_PROGRAM
from zmart_pipelines.voting.ballot import Kind
from zmart_pipelines.voting.bundle import MEMO_PREFIX, Recount
from zmart_pipelines.voting.tallies import VOTE_KIND

# First characters of the genesis hashes, as CAIP-2 names the clusters by them:
# https://namespaces.chainagnostic.org/solana/caip2
GENESIS: Final = {
    "mainnet": "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp",
    "devnet": "EtWTRABZaYq6iMfeYKouRu166VU2xqa1",
    "testnet": "4uhcVJyU9pJkvQyUS88uRDiswHXSCkcY",
}
_PAGE: Final = 1000
# Block times are the cluster's estimate; the program's times are its clock's.
_SLACK_SECONDS: Final = 60


class Submission(msgspec.Struct, frozen=True):
    """A transaction that wrote the counts of a vote. ``bundle_cid``: what its memo names."""

    signature: str
    slot: int
    kind: Kind
    votes_for: int
    votes_against: int
    bundle_cid: str | None


class Verification(msgspec.Struct, frozen=True):
    """``problems`` is empty where all holds. ``superseded``: later counts replaced these, by
    the transaction of that signature.
    """

    submission: Submission | None
    superseded: str | None
    problems: tuple[str, ...]


def verify(found: Recount, reader: AccountReader) -> Verification:
    """Compares a recount with the chain that ``reader`` reads, at confirmed.

    The recount's own problems are not repeated. Raises what RpcClient raises.
    """
    problems = list(_of_another_chain(found, reader))
    if problems:
        return Verification(None, None, tuple(problems))
    market = reader.market(bytes.fromhex(found.market_id), "confirmed").value
    if market is None:
        return Verification(None, None, (f"the market {found.market_id} is not on chain",))
    written = find_submissions(reader, market, found.kind)
    named = [one for one in written if one.bundle_cid == found.cid]
    submission = named[-1] if named else None
    superseded = None
    if submission is None:
        problems.append(_unnamed(written))
    else:
        if _counts(submission) != (found.votes_for, found.votes_against):
            problems.append(
                f"the transaction {submission.signature} wrote {submission.votes_for} for and"
                f" {submission.votes_against} against; the ballots give {found.votes_for} and"
                f" {found.votes_against}"
            )
        if submission.slot < found.slot:
            problems.append(
                f"the transaction {submission.signature} is of slot {submission.slot}, before the"
                f" cut-off at {found.slot}"
            )
        if written[-1] is not submission:
            superseded = written[-1].signature
    if superseded is None:
        problems += _of_the_account(found, market)
    problems += _of_votes_on_chain(found, reader, market)
    return Verification(submission, superseded, tuple(problems))


def find_submissions(reader: AccountReader, market: MarketAccount, kind: Kind) -> list[Submission]:
    """The transactions that wrote counts of this vote, the oldest first."""
    address = market_address(reader.program, market.market_id)[0]
    first, last = _when(market, kind)
    found: list[Submission] = []
    for info in _signatures(reader, address):
        at = info.block_time
        if info.error is not None or (at is not None and not first <= at <= last):
            continue
        raw = reader.rpc.transaction(info.signature, "confirmed")
        if raw is not None:
            found += _written(raw, reader.program, address, kind)
    return found[::-1]


def _signatures(reader: AccountReader, address: Pubkey) -> Iterator[SignatureInfo]:
    """Every transaction that names the address, the newest first."""
    before = None
    while True:
        page = reader.rpc.signatures_for_address(
            address, before=before, limit=_PAGE, commitment="confirmed"
        )
        yield from page
        if len(page) < _PAGE:
            return
        before = page[-1].signature


def _when(market: MarketAccount, kind: Kind) -> tuple[float, float]:
    """The seconds in which counts of this vote can have been written: not during trading, so
    that a market with a million trades is as quick to check as one without.
    """
    if kind == "proposal":
        end = market.approved_at + _SLACK_SECONDS if market.approved_at else float("inf")
        return market.created_at - _SLACK_SECONDS, end
    return market.dispute_initiated_at - _SLACK_SECONDS, float("inf")


def _written(raw: bytes, program: Pubkey, address: Pubkey, kind: Kind) -> list[Submission]:
    transaction = from_rpc(raw, program)
    cid = _memo(from_rpc(raw, MEMO_PROGRAM))
    found = []
    for one in transaction.instructions:
        try:
            call = decode_instruction(one.data)
        except DecodeError:
            continue
        counts: tuple[int, int] | None = None
        if kind == "proposal" and isinstance(call, AggregateProposalVotes):
            counts = (call.final_likes, call.final_dislikes)
        if kind == "dispute" and isinstance(call, FinalizeMarket):
            counts = (call.dispute_agree or 0, call.dispute_disagree or 0)
        if counts is not None and str(address) in one.accounts:
            signature = str(Signature(transaction.signature))
            found.append(Submission(signature, transaction.slot, kind, *counts, cid))
    return found


def _memo(transaction: RawTransaction) -> str | None:
    """The CID that the transaction's own memo names."""
    for one in transaction.instructions:
        text = one.data.decode(errors="replace")
        if one.inner_index is None and text.startswith(MEMO_PREFIX):
            return text.removeprefix(MEMO_PREFIX)
    return None


def _counts(submission: Submission) -> tuple[int, int]:
    return submission.votes_for, submission.votes_against


def _of_another_chain(found: Recount, reader: AccountReader) -> Iterator[str]:
    if found.program != str(reader.program):
        yield f"the bundle is of the program {found.program}, not of {reader.program}"
    genesis = str(reader.rpc.genesis_hash())
    if found.genesis != genesis:
        yield f"the bundle is of the chain {found.genesis}, the endpoint's is {genesis}"
    named = next((name for name, start in GENESIS.items() if genesis.startswith(start)), None)
    if named != found.network and (named is not None or found.network in GENESIS):
        yield (
            f"the ballots are for {found.network}, but the endpoint's chain"
            f" {'is ' + named if named else 'is another'}"
        )


def _unnamed(written: list[Submission]) -> str:
    if not written:
        return "no transaction of the market has written counts of this vote"
    last = written[-1]
    other = f"the bundle {last.bundle_cid}" if last.bundle_cid else "no bundle"
    return (
        f"the memo is of another bundle: the transaction {last.signature}, which wrote"
        f" {last.votes_for} for and {last.votes_against} against, names {other}"
    )


def _of_the_account(found: Recount, market: MarketAccount) -> Iterator[str]:
    held = (
        (market.proposal_likes, market.proposal_dislikes)
        if found.kind == "proposal"
        else (market.dispute_agree, market.dispute_disagree)
    )
    if held != (found.votes_for, found.votes_against):
        yield (
            f"the market's account has {held[0]} for and {held[1]} against, the ballots give"
            f" {found.votes_for} and {found.votes_against}"
        )


def _of_votes_on_chain(
    found: Recount, reader: AccountReader, market: MarketAccount
) -> Iterator[str]:
    """VoteRecords against the ballots, and in a dispute the shares of those who voted."""
    votes = reader.vote_records(market.market_id, VOTE_KIND[found.kind], "confirmed").value
    records = {str(Pubkey(one.user)): one for one in votes}
    shares: dict[str, int] | None = None
    if found.kind == "dispute":
        # Nobody can trade once a market is resolved, so that holdings are what they were.
        positions = reader.positions(market.market_id, "confirmed").value
        shares = {str(Pubkey(one.user)): _shares(one) for one in positions}
    for ballot in found.ballots:
        record = records.pop(ballot.wallet, None)
        if ballot.source == "chain":
            if record is None:
                yield f"the vote of {ballot.wallet} is said to be on chain and is not"
            elif (record.vote, record.voted_at) != (ballot.choice, ballot.voted_at):
                yield f"the vote of {ballot.wallet} on chain is not as the bundle has it"
        elif record is not None and record.voted_at < found.chain_time:
            yield (
                f"the wallet {ballot.wallet} had voted on chain before the cut-off; that vote"
                " counts, not its ballot"
            )
        if shares is not None:
            held = shares.get(ballot.wallet, 0)
            if held == 0:
                yield f"the wallet {ballot.wallet} held no shares of the market"
            elif found.weight_unit and ballot.weight != max(1, held // found.weight_unit):
                yield (
                    f"the ballot of {ballot.wallet} weighs {ballot.weight}; {held} shares give"
                    f" {max(1, held // found.weight_unit)}"
                )
    for wallet, record in sorted(records.items()):
        # A vote of the cut-off's own second may lie on either side of it.
        holder = shares is None or shares.get(wallet, 0) > 0
        if record.voted_at < found.chain_time and holder:
            yield f"the vote of {wallet} on chain, cast before the cut-off, is not counted"


def _shares(position: UserPosition) -> int:
    return position.shares_yes + position.shares_no
