"""A stored ballot as clients read it."""

from __future__ import annotations

from zmart_pipelines.client_schemas.formats import (
    ExactIntegers,
    LargeInt,
    base58_key,
    base58_signature,
    iso8601,
)
from zmart_pipelines.client_schemas.voting import choice_word
from zmart_pipelines.voting.cast_results import StoredBallot


class Ballot(ExactIntegers, frozen=True, kw_only=True):
    """A stored ballot with its proof.

    `weight` is how many votes it counts. `vote` is the choice as a boolean, `choice` the
    same as the program's word. `scheme` names the kind of text that was signed.
    """

    id: int
    market_id: str
    user_wallet: str
    vote_type: str
    vote: bool
    choice: str
    weight: LargeInt
    round: int
    scheme: str
    message: str
    signature: str
    voted_at: str
    created_at: str


def ballot(row: StoredBallot) -> Ballot:
    """Return a stored ballot as clients read it."""
    accepted_at = iso8601(row.accepted_at)
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
        voted_at=accepted_at,
        created_at=accepted_at,
    )
