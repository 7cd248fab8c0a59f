"""Votes and ballots as clients read them."""

from __future__ import annotations

import msgspec

from api.identifiers import base58_key, base58_signature
from api.schemas import common
from zmart_pipelines.store.queries import votes
from zmart_pipelines.voting.ballot import CHOICES
from zmart_pipelines.voting.cast_results import StoredBallot


class Vote(msgspec.Struct, frozen=True, kw_only=True):
    """One wallet's vote, which counts ``weight``. ``source`` is 'wallet' for a signed ballot,
    'chain' for a VoteRecord; ``tx_signature`` is set for the latter, ``signature`` is the proof
    of either.
    """

    id: str
    market_id: str
    user_wallet: str
    vote_type: str
    vote: bool
    choice: str
    weight: int
    round: int
    source: str
    signature: str
    tx_signature: str | None
    voted_at: str
    created_at: str


def vote(row: votes.Vote) -> Vote:
    """A vote's row as clients read it."""
    wallet = base58_key(row.wallet)
    signature = base58_signature(row.signature)
    moment = common.iso(row.voted_at)
    return Vote(
        id=f"{row.market_id.hex()}:{row.kind}:{row.round}:{wallet}",
        market_id=row.market_id.hex(),
        user_wallet=wallet,
        vote_type=row.kind,
        vote=row.choice,
        choice=choice_word(row.kind, row.choice),
        weight=row.weight,
        round=row.round,
        source=row.source,
        signature=signature,
        tx_signature=signature if row.source == "chain" else None,
        voted_at=moment,
        created_at=moment,
    )


def choice_word(kind: str, choice: bool) -> str:
    """The program's word for a choice of this kind of vote."""
    yes, no = CHOICES["proposal" if kind == "proposal" else "dispute"]
    return yes if choice else no


class Ballot(msgspec.Struct, frozen=True, kw_only=True):
    """A stored ballot with its proof, which counts ``weight``."""

    id: int
    market_id: str
    user_wallet: str
    vote_type: str
    vote: bool
    choice: str
    weight: int
    round: int
    scheme: str
    message: str
    signature: str
    voted_at: str
    created_at: str


def ballot(row: StoredBallot) -> Ballot:
    """A ballot's row as clients read it."""
    moment = common.iso(row.accepted_at)
    return Ballot(
        id=row.id,
        market_id=row.market_id.hex(),
        user_wallet=base58_key(row.wallet),
        vote_type=row.kind,
        vote=row.choice,
        choice=choice_word(row.kind, row.choice),
        weight=row.weight,
        round=row.round,
        scheme=row.scheme,
        message=row.message,
        signature=base58_signature(row.signature),
        voted_at=moment,
        created_at=moment,
    )
