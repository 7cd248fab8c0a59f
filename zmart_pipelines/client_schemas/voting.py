"""Votes as clients read them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from zmart_pipelines.client_schemas.formats import (
    ExactIntegers,
    LargeInt,
    base58_key,
    base58_signature,
    iso8601,
)
from zmart_pipelines.program.vote_choices import VOTE_CHOICES
from zmart_pipelines.store.queries import votes


class VoteIdentity(ExactIntegers, frozen=True, kw_only=True):
    """One wallet's vote of one kind in one round, with its proof.

    `vote` is the choice as a boolean (true: like, or agreement with the dispute), `choice`
    the same as the program's word. `source` is `wallet` for a signed ballot and `chain` for
    a VoteRecord; `signature` proves either, `tx_signature` is set for the latter alone.
    `created_at` is an older name of `voted_at`.
    """

    id: str
    market_id: str
    user_wallet: str
    vote_type: str
    vote: bool
    choice: str
    round: int
    source: str
    signature: str
    tx_signature: str | None
    voted_at: str
    created_at: str


class Vote(VoteIdentity, frozen=True, kw_only=True):
    """A vote with its `weight`: how many votes it counts."""

    weight: LargeInt


def vote(row: votes.Vote) -> Vote:
    """Return a vote as clients read it."""
    return Vote(
        **vote_identity_fields(
            market_id=row.market_id,
            kind=row.kind,
            round_=row.round,
            wallet=row.wallet,
            choice=row.choice,
            source=row.source,
            signature=row.signature,
            voted_at=row.voted_at,
        ),
        weight=row.weight,
    )


def vote_identity_fields(
    *,
    market_id: bytes,
    kind: str,
    round_: int,
    wallet: bytes,
    choice: bool,
    source: str,
    signature: bytes,
    voted_at: datetime,
) -> dict[str, Any]:
    """Return the values of ``VoteIdentity``'s fields."""
    voter, proof, moment = base58_key(wallet), base58_signature(signature), iso8601(voted_at)
    return {
        "id": f"{market_id.hex()}:{kind}:{round_}:{voter}",
        "market_id": market_id.hex(),
        "user_wallet": voter,
        "vote_type": kind,
        "vote": choice,
        "choice": choice_word(kind, choice),
        "round": round_,
        "source": source,
        "signature": proof,
        "tx_signature": proof if source == "chain" else None,
        "voted_at": moment,
        "created_at": moment,
    }


def choice_word(kind: str, choice: bool) -> str:
    """Return the program's word for a choice of this kind of vote."""
    yes, no = VOTE_CHOICES["proposal" if kind == "proposal" else "dispute"]
    return yes if choice else no
