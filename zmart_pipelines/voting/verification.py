"""Verification of a recounted bundle against the chain, by RPC only.

Nothing of our database is trusted. The program and the chain (by its genesis hash) must be the
expected ones; the transaction that wrote the counts must name the bundle in its memo and contain
the recounted numbers; the market's account must have them; and every vote cast on chain before the
cut-off must be counted as it was cast.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
from solders.pubkey import Pubkey
from solders.signature import Signature

from zmart_pipelines.chain.account_reader import AccountReader
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.chain.rpc_types import SignatureInfo
from zmart_pipelines.chain.signature_listing import from_one_node, iter_pages
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
from zmart_pipelines.voting.bundle import MEMO_PREFIX, BundleBallot, Recount
from zmart_pipelines.voting.tallies import VOTE_KIND

# First characters of the genesis hashes, as CAIP-2 names the clusters by them:
# https://namespaces.chainagnostic.org/solana/caip2
GENESIS: Final = {
    "mainnet": "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp",
    "devnet": "EtWTRABZaYq6iMfeYKouRu166VU2xqa1",
    "testnet": "4uhcVJyU9pJkvQyUS88uRDiswHXSCkcY",
}
_PAGE_SIZE: Final = 1000
# Block times are estimates of the cluster; the program's times are those of its clock.
_SLACK_SECONDS: Final = 60


class Submission(msgspec.Struct, frozen=True):
    """A transaction that wrote the counts of a vote. ``bundle_cid``: the CID in its memo."""

    signature: str
    slot: int
    kind: Kind
    votes_for: int
    votes_against: int
    bundle_cid: str | None


class Verification(msgspec.Struct, frozen=True):
    """The result of a verification.

    Attributes:
        submission: The transaction whose memo names the bundle.
        superseded: Signature of a later transaction that replaced its counts.
        problems: What is wrong; empty when everything agrees.
    """

    submission: Submission | None
    superseded: str | None
    problems: tuple[str, ...]


def verify_recount(recount: Recount, reader: AccountReader) -> Verification:
    """Compare a recount with the chain that ``reader`` reads, at confirmed.

    The recount's own problems are not repeated.

    Raises:
        RpcError, RpcUnavailable, RateLimited: The chain cannot be read.
    """
    problems = list(_chain_problems(recount, reader))
    if problems:
        return Verification(None, None, tuple(problems))
    market = reader.market(bytes.fromhex(recount.market_id), "confirmed").value
    if market is None:
        return Verification(None, None, (f"the market {recount.market_id} is not on chain",))
    written = find_submissions(reader, market, recount.kind)
    named = [entry for entry in written if entry.bundle_cid == recount.cid]
    submission = named[-1] if named else None
    superseded = None
    if submission is None:
        problems.append(_unnamed_problem(written))
    else:
        if _counts(submission) != (recount.votes_for, recount.votes_against):
            problems.append(
                f"the transaction {submission.signature} wrote {submission.votes_for} for and"
                f" {submission.votes_against} against; the ballots give {recount.votes_for} and"
                f" {recount.votes_against}"
            )
        if submission.slot < recount.slot:
            problems.append(
                f"the transaction {submission.signature} is of slot {submission.slot}, before the"
                f" cut-off at {recount.slot}"
            )
        if written[-1] is not submission:
            superseded = written[-1].signature
    if superseded is None:
        problems += _account_problems(recount, market)
    problems += _chain_vote_problems(recount, reader, market)
    return Verification(submission, superseded, tuple(problems))


def find_submissions(reader: AccountReader, market: MarketAccount, kind: Kind) -> list[Submission]:
    """Return the transactions that wrote counts of this vote, oldest first."""
    address = market_address(reader.program, market.market_id)[0]
    first, last = _writing_period(market, kind)
    submissions: list[Submission] = []
    for info in _signatures(reader, address):
        at = info.block_time
        if info.error is not None or (at is not None and not first <= at <= last):
            continue
        raw = reader.rpc.transaction(info.signature, "confirmed")
        if raw is not None:
            submissions += _decode_submissions(raw, reader.program, address, kind)
    return submissions[::-1]


def _signatures(reader: AccountReader, address: Pubkey) -> list[SignatureInfo]:
    """Return every transaction that names the address, newest first."""

    def read(node: RpcClient) -> list[SignatureInfo]:
        pages = iter_pages(
            node, address, first_slot=0, commitment="confirmed", page_size=_PAGE_SIZE
        )
        # A page repeats rows of the one before it.
        return list({row.signature: row for page in pages for row in page.rows}.values())

    return from_one_node(reader.rpc, read)


def _writing_period(market: MarketAccount, kind: Kind) -> tuple[float, float]:
    """Return the first and last second in which counts of this vote can have been written.

    Trading is outside of it, so that a market with a million trades is as fast to verify as one
    without.
    """
    if kind == "proposal":
        end = market.approved_at + _SLACK_SECONDS if market.approved_at else float("inf")
        return market.created_at - _SLACK_SECONDS, end
    return market.dispute_initiated_at - _SLACK_SECONDS, float("inf")


def _decode_submissions(
    raw: bytes, program: Pubkey, address: Pubkey, kind: Kind
) -> list[Submission]:
    transaction = from_rpc(raw, program)
    cid = _memo(from_rpc(raw, MEMO_PROGRAM))
    found = []
    for instruction in transaction.instructions:
        try:
            call = decode_instruction(instruction.data)
        except DecodeError:
            continue
        counts: tuple[int, int] | None = None
        if kind == "proposal" and isinstance(call, AggregateProposalVotes):
            counts = (call.final_likes, call.final_dislikes)
        if kind == "dispute" and isinstance(call, FinalizeMarket):
            counts = (call.dispute_agree or 0, call.dispute_disagree or 0)
        if counts is not None and str(address) in instruction.accounts:
            signature = str(Signature(transaction.signature))
            found.append(Submission(signature, transaction.slot, kind, *counts, cid))
    return found


def _memo(transaction: RawTransaction) -> str | None:
    """Return the CID in the memo of the transaction, which must not be an inner instruction."""
    for instruction in transaction.instructions:
        text = instruction.data.decode(errors="replace")
        if instruction.inner_index is None and text.startswith(MEMO_PREFIX):
            return text.removeprefix(MEMO_PREFIX)
    return None


def _counts(submission: Submission) -> tuple[int, int]:
    return submission.votes_for, submission.votes_against


def _chain_problems(recount: Recount, reader: AccountReader) -> Iterator[str]:
    if recount.program != str(reader.program):
        yield f"the bundle is for the program {recount.program}, not for {reader.program}"
    genesis = str(reader.rpc.genesis_hash())
    if recount.genesis != genesis:
        yield f"the bundle is for the chain {recount.genesis}, but the endpoint serves {genesis}"
    named = next((name for name, start in GENESIS.items() if genesis.startswith(start)), None)
    if named != recount.network and (named is not None or recount.network in GENESIS):
        yield (
            f"the ballots are for {recount.network}, but the endpoint serves"
            f" {named or 'another chain'}"
        )


def _unnamed_problem(written: list[Submission]) -> str:
    if not written:
        return "no transaction of the market has written counts of this vote"
    last = written[-1]
    other = f"the bundle {last.bundle_cid}" if last.bundle_cid else "no bundle"
    return (
        f"the memo names another bundle: the transaction {last.signature}, which wrote"
        f" {last.votes_for} for and {last.votes_against} against, names {other}"
    )


def _account_problems(recount: Recount, market: MarketAccount) -> Iterator[str]:
    held = (
        (market.proposal_likes, market.proposal_dislikes)
        if recount.kind == "proposal"
        else (market.dispute_agree, market.dispute_disagree)
    )
    if held != (recount.votes_for, recount.votes_against):
        yield (
            f"the market's account has {held[0]} for and {held[1]} against, the ballots give"
            f" {recount.votes_for} and {recount.votes_against}"
        )


def _chain_vote_problems(
    recount: Recount, reader: AccountReader, market: MarketAccount
) -> Iterator[str]:
    """Compare VoteRecords with the ballots, and in a dispute the shares of the voters."""
    votes = reader.vote_records(market.market_id, VOTE_KIND[recount.kind], "confirmed").value
    records = {str(Pubkey(vote.user)): vote for vote in votes}
    shares: dict[str, int] | None = None
    if recount.kind == "dispute":
        # There is no trading once a market is resolved, so positions have not changed since.
        positions = reader.positions(market.market_id, "confirmed").value
        shares = {str(Pubkey(row.user)): _shares(row) for row in positions}
    for ballot in recount.ballots:
        record = records.pop(ballot.wallet, None)
        if ballot.source == "chain":
            if record is None:
                yield f"the bundle has a vote on chain of {ballot.wallet}, but there is none"
            elif (record.vote, record.voted_at) != (ballot.choice, ballot.voted_at):
                yield f"the vote of {ballot.wallet} on chain differs from the bundle"
        elif record is not None and record.voted_at < recount.chain_time:
            yield (
                f"the wallet {ballot.wallet} voted on chain before the cut-off; that vote counts,"
                " not its ballot"
            )
        if shares is not None:
            yield from _weight_problems(recount, ballot, shares.get(ballot.wallet, 0))
    for wallet, record in sorted(records.items()):
        # A vote in the second of the cut-off may be before or after it.
        holder = shares is None or shares.get(wallet, 0) > 0
        if record.voted_at < recount.chain_time and holder:
            yield f"the vote of {wallet} on chain, cast before the cut-off, is not counted"


def _weight_problems(recount: Recount, ballot: BundleBallot, held: int) -> Iterator[str]:
    """Compare the weight of a ballot with the shares that its wallet held (9 decimals)."""
    if held == 0:
        yield f"the wallet {ballot.wallet} held no shares of the market"
    elif recount.weight_unit and ballot.weight != max(1, held // recount.weight_unit):
        yield (
            f"the ballot of {ballot.wallet} has weight {ballot.weight}; {held} shares give"
            f" {max(1, held // recount.weight_unit)}"
        )


def _shares(position: UserPosition) -> int:
    return position.shares_yes + position.shares_no
