"""Validation of a ballot: its proof, earlier ballots, and whether the vote accepts it.

No I/O: the rows come from :mod:`zmart_pipelines.voting.casting`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Row

from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.proofs.signatures import is_signed_by
from zmart_pipelines.settings import Settings
from zmart_pipelines.voting.ballot import (
    BallotRejected,
    IdempotencyKeyUsed,
    Kind,
    Proof,
    SignatureUsed,
    SignedBallot,
    WalletNotEligible,
    check_ballot,
)
from zmart_pipelines.voting.cast_results import (
    BallotConflict,
    CastReceipt,
    StoredBallot,
    UnknownMarket,
    VotingClosed,
)

MAX_IDEMPOTENCY_KEY = 255

# The state of the market in which each kind of ballot is accepted.
VOTING_STATE: dict[Kind, MarketState] = {
    "proposal": MarketState.PROPOSED,
    "dispute": MarketState.DISPUTED,
}


class CheckedBallot(msgspec.Struct, frozen=True):
    """A ballot that its wallet signed, with its proof, or why the text is not accepted.

    A repeated ballot gets the stored answer even if its text has expired.
    """

    ballot: SignedBallot
    proof: Proof | BallotRejected


class AdmittedBallot(NamedTuple):
    """A ballot that will be stored."""

    ballot: SignedBallot
    proof: Proof
    round: int
    weight: int

    def stored(self, number: int, accepted_at: datetime) -> StoredBallot:
        """Return the stored ballot with its id."""
        return StoredBallot(
            id=number,
            market_id=self.ballot.market_id,
            kind=self.ballot.kind,
            round=self.round,
            wallet=self.ballot.wallet,
            choice=self.ballot.choice,
            weight=self.weight,
            scheme=self.proof.scheme,
            message=self.ballot.message,
            signature=self.ballot.signature,
            nonce=self.proof.nonce,
            idempotency_key=self.ballot.idempotency_key,
            accepted_at=accepted_at,
        )


def check_proof(ballot: SignedBallot, settings: Settings, now: datetime) -> CheckedBallot:
    """Check everything of a ballot that needs no database: its form, text and signature.

    Args:
        ballot: The ballot.
        settings: Program, network, longest expiry, older schemes.
        now: The time that expiries are compared with.

    Raises:
        BallotRejected: It is malformed, or the wallet did not sign it. Nothing stored may be
            shown to its sender.
    """
    for name, value, size in (
        ("market_id", ballot.market_id, 32),
        ("wallet", ballot.wallet, 32),
        ("signature", ballot.signature, 64),
    ):
        if len(value) != size:
            raise BallotRejected(name, f"is not {size} bytes long")
    key = ballot.idempotency_key
    if key is not None and not (0 < len(key) <= MAX_IDEMPOTENCY_KEY and key.isprintable()):
        raise BallotRejected(
            "idempotency_key", f"is not 1 to {MAX_IDEMPOTENCY_KEY} printable characters"
        )
    program = bytes(settings.program)
    try:
        proof = check_ballot(
            ballot,
            program=program,
            network=settings.solana_cluster,
            now=now,
            ttl=timedelta(seconds=settings.ballot_ttl_seconds),
            older=settings.accept_older_ballots,
        )
    except BallotRejected as rejection:
        if not is_signed_by(ballot.message, ballot.signature, ballot.wallet, program):
            raise
        return CheckedBallot(ballot, rejection)
    return CheckedBallot(ballot, proof)


def find_repeat(checked: CheckedBallot, rows: list[Row[Any]]) -> CastReceipt | None:
    """Return the stored answer when the ballot is a repeat, None when it is new.

    Another ballot than the one with this signature is shown only to a sender whose proof is
    valid for this vote now.

    Raises:
        BallotConflict: The wallet has another ballot in this round.
        BallotRejected: The signature or the idempotency key was used for another vote.
    """
    ballot = checked.ballot
    earlier = [
        (row, StoredBallot(**{name: getattr(row, name) for name in StoredBallot.__struct_fields__}))
        for row in rows
        if row.id is not None
    ]
    for row, stored in earlier:
        if stored.signature == ballot.signature:
            if _is_same_vote(stored, ballot) and stored.message == ballot.message:
                return _answer(stored, row)
            raise SignatureUsed("signature", "was already used for another ballot; sign a new one")
    if isinstance(checked.proof, BallotRejected):
        return None
    return _find_repeated_vote(ballot, earlier)


def _find_repeated_vote(
    ballot: SignedBallot, earlier: list[tuple[Row[Any], StoredBallot]]
) -> CastReceipt | None:
    """Return the stored answer when a new signature repeats a vote by its idempotency key."""
    conflict = None
    for row, stored in earlier:
        if _has_same_key(stored, ballot):
            if _is_same_vote(stored, ballot):
                return _answer(stored, row)
            if (stored.market_id, stored.kind) != (ballot.market_id, ballot.kind):
                raise IdempotencyKeyUsed(
                    "idempotency_key", "was already used for another vote; use a new one"
                )
            conflict = stored
        elif stored.round == row.round_now:
            conflict = stored
    if conflict is not None:
        raise BallotConflict(conflict)
    return None


def _has_same_key(stored: StoredBallot, ballot: SignedBallot) -> bool:
    return ballot.idempotency_key is not None and (stored.wallet, stored.idempotency_key) == (
        ballot.wallet,
        ballot.idempotency_key,
    )


def _is_same_vote(stored: StoredBallot, ballot: SignedBallot) -> bool:
    return (stored.market_id, stored.kind, stored.wallet, stored.choice) == (
        ballot.market_id,
        ballot.kind,
        ballot.wallet,
        ballot.choice,
    )


def _answer(stored: StoredBallot, row: Row[Any]) -> CastReceipt:
    return CastReceipt(
        ballot=stored,
        repeated=True,
        votes_for=row.votes_for + row.chain_for,
        votes_against=row.votes_against + row.chain_against,
    )


def admit(checked: CheckedBallot, now: Row[Any]) -> AdmittedBallot:
    """Return the ballot with its round and weight.

    Raises:
        BallotRejected: The proof, the market's state, the wallet or the round does not fit.
        VotingClosed: The tally is frozen.
    """
    ballot, proof = checked.ballot, checked.proof
    if now.state is None:
        raise UnknownMarket("market_id", "is not the id of a market on chain")
    if isinstance(proof, BallotRejected):
        raise proof
    if now.tally_status == "frozen":
        raise VotingClosed(ballot.market_id, ballot.kind, now.round_now)
    voting_state = VOTING_STATE[ballot.kind]
    if now.state != voting_state:
        raise BallotRejected(
            "market_id",
            f"names a market that is {MarketState(now.state).name};"
            f" {ballot.kind} ballots are accepted while it is {voting_state.name}",
        )
    if now.voted_on_chain:
        raise BallotRejected(
            "wallet", "has already voted on chain; that vote counts and cannot be changed"
        )
    if ballot.kind == "dispute" and not now.shares > 0:
        raise WalletNotEligible(
            "wallet",
            "held no shares of this market when it was disputed; vote with a wallet that did",
        )
    if proof.round is not None and proof.round != now.round_now:
        raise BallotRejected(
            "message",
            f"names round {proof.round}, but the vote is in round {now.round_now}; sign for that"
            " round",
        )
    return AdmittedBallot(
        ballot, proof, now.round_now, now.weight_now if ballot.kind == "dispute" else 1
    )
