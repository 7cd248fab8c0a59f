"""A stored ballot as clients read it."""

from __future__ import annotations

from zmart_pipelines.client_schemas.voting import Vote, vote_identity_fields
from zmart_pipelines.voting.cast_results import StoredBallot


class Ballot(Vote, frozen=True, kw_only=True):
    """A stored ballot: the vote as lists show it, with the text that was signed.

    `scheme` names the kind of that text.
    """

    scheme: str
    message: str


def ballot(row: StoredBallot) -> Ballot:
    """Return a stored ballot as clients read it."""
    return Ballot(
        **vote_identity_fields(
            market_id=row.market_id,
            kind=row.kind,
            round_=row.round,
            wallet=row.wallet,
            choice=row.choice,
            source="wallet",
            signature=row.signature,
            voted_at=row.accepted_at,
        ),
        weight=row.weight,
        scheme=row.scheme,
        message=row.message,
    )
