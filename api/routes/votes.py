"""Ballots: the text to sign, casting, counts."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, get, post
from litestar.params import HeaderParameter, JSONBody, PathParameter, QueryParameter
from sqlalchemy import Connection

from api import auth, ballot_schema, identifiers
from api.dependencies import (
    READS,
    BallotBatcherDep,
    DatabaseDep,
    Limit,
    MarketPath,
    Offset,
    SettingsDep,
    failures,
)
from api.errors import ApiError, invalid, not_found
from api.request_bodies import NewVote
from api.routes.markets import existing, id_of
from zmart_pipelines.client_schemas import formats, voting
from zmart_pipelines.program.vote_choices import VOTE_CHOICES
from zmart_pipelines.store.queries import votes
from zmart_pipelines.voting import cast_results
from zmart_pipelines.voting.ballot import BallotRejected, BallotText, Kind, SignedBallot

# Half of what a ballot may be ahead, so that its signer's clock need not be exact.
_EXPIRY_SHARE = 2

AnyKind = Annotated[Literal["proposal", "dispute"], PathParameter()]


class VoteStats(formats.ExactIntegers, frozen=True, kw_only=True):
    """Counts of one kind; ``approval_rate`` is in percent, as text."""

    likes: formats.LargeInt
    dislikes: formats.LargeInt
    total: formats.LargeInt
    approval_rate: str


class VoteList(msgspec.Struct, frozen=True):
    """A page of votes with the counts of the latest round."""

    votes: list[voting.Vote]
    stats: VoteStats
    market_id: str
    type: str


class Count(formats.ExactIntegers, frozen=True, kw_only=True):
    """A kind's counts of its latest round; ``status`` is null before the first vote."""

    likes: formats.LargeInt
    dislikes: formats.LargeInt
    agrees: formats.LargeInt
    disagrees: formats.LargeInt
    total: formats.LargeInt
    round: int
    status: str | None


class Counts(msgspec.Struct, frozen=True):
    """Both kinds' counts."""

    market_id: str
    proposal_votes: Count
    dispute_votes: Count


class KindCount(msgspec.Struct, frozen=True, rename="camel"):
    """One kind's counts."""

    success: bool
    market_id: str
    counts: Count


class TextToSign(msgspec.Struct, frozen=True):
    """The text that a wallet signs, byte for byte, to vote; good until ``expires_at``."""

    message: str
    market_id: str
    vote_type: str
    vote: bool
    choice: str
    round: int
    nonce: str
    expires_at: str


class Receipt(msgspec.Struct, frozen=True):
    """What the stored ballot belongs to."""

    message: str
    market_id: str
    vote_type: str
    user_wallet: str


class CastVote(msgspec.Struct, frozen=True):
    """The stored ballot and the counts with it. ``repeated``: it was stored before."""

    data: list[ballot_schema.Ballot]
    count: int
    metadata: Receipt
    counts: Count
    repeated: bool


def _count(votes_for: int, votes_against: int, round_: int, status: str | None) -> Count:
    return Count(
        likes=votes_for,
        dislikes=votes_against,
        agrees=votes_for,
        disagrees=votes_against,
        total=votes_for + votes_against,
        round=round_,
        status=status,
    )


def _counts(conn: Connection, market_id: bytes, kind: Kind) -> Count:
    row = votes.counts(conn, market_id, kind)
    return _count(row.votes_for, row.votes_against, row.round, row.status)


def _choice(kind: Kind, value: bool | str | None, field: str) -> bool:
    """A choice in any of its words; ApiError 400 naming ``field``."""
    yes, no = VOTE_CHOICES[kind]
    words = {yes: True, "true": True, "yes": True, no: False, "false": False, "no": False}
    found = value if isinstance(value, bool) else words.get(str(value).lower())
    if found is None:
        raise invalid(field, f"must be true or {yes}, false or {no}")
    return found


@get(
    "/api/markets/{market:str}/votes",
    operation_id="listVotes",
    tags=["votes"],
    responses=READS,
)
async def of_market(
    database: DatabaseDep,
    market: MarketPath,
    type_: Annotated[Literal["proposal", "dispute"], QueryParameter(name="type")] = "proposal",
    limit: Limit = 100,
    offset: Offset = 0,
) -> VoteList:
    """A market's votes of one kind, the newest first, on chain and by ballot."""
    key = identifiers.market_key(market, "market")

    def read(conn: Connection) -> VoteList:
        market_id = id_of(conn, key)
        rows = votes.find(conn, market_id, kind=type_, limit=limit, offset=offset)
        count = _counts(conn, market_id, type_)
        rate = 100 * count.likes / count.total if count.total else 0
        return VoteList(
            [voting.vote(row) for row in rows],
            VoteStats(
                likes=count.likes,
                dislikes=count.dislikes,
                total=count.total,
                approval_rate=f"{rate:.2f}",
            ),
            market_id.hex(),
            type_,
        )

    return await database.read(read)


@get("/api/votes/{market:str}", operation_id="getVoteCounts", tags=["votes"], responses=READS)
async def both(database: DatabaseDep, market: MarketPath) -> Counts:
    """Both kinds' running counts."""
    key = identifiers.market_key(market, "market")

    def read(conn: Connection) -> Counts:
        market_id = id_of(conn, key)
        return Counts(
            market_id.hex(),
            _counts(conn, market_id, "proposal"),
            _counts(conn, market_id, "dispute"),
        )

    return await database.read(read)


@get(
    "/api/votes/{kind:str}/{market:str}",
    operation_id="getVoteCount",
    tags=["votes"],
    responses=READS,
)
async def one(database: DatabaseDep, kind: AnyKind, market: MarketPath) -> KindCount:
    """One kind's running counts."""
    key = identifiers.market_key(market, "market")

    def read(conn: Connection) -> KindCount:
        market_id = id_of(conn, key)
        return KindCount(True, market_id.hex(), _counts(conn, market_id, kind))

    return await database.read(read)


@get(
    "/api/votes/{kind:str}/{market:str}/message",
    operation_id="getBallotText",
    tags=["votes"],
    responses=failures(400, 404),
)
async def text(
    database: DatabaseDep,
    settings: SettingsDep,
    kind: AnyKind,
    market: MarketPath,
    vote: Annotated[
        str, QueryParameter(description="true, like, agree – or false, dislike, disagree.")
    ],
) -> TextToSign:
    """The exact text to sign for a ballot. It names the market, the kind, the round and the
    choice, and expires; ask anew for each ballot.
    """
    choice = _choice(kind, vote, "vote")
    key = identifiers.market_key(market, "market")

    def read(conn: Connection) -> tuple[bytes, int]:
        market_id = existing(conn, key).market_id
        return market_id, votes.latest_round(conn, market_id, kind)

    market_id, round_ = await database.read(read)
    ahead = timedelta(seconds=settings.ballot_ttl_seconds // _EXPIRY_SHARE)
    ballot = BallotText(
        program=bytes(settings.program),
        network=settings.solana_cluster,
        market_id=market_id,
        kind=kind,
        round=round_,
        choice=choice,
        nonce=secrets.token_hex(8),
        expires=(datetime.now(UTC) + ahead).replace(microsecond=0),
    )
    return TextToSign(
        message=ballot.compose(),
        market_id=market_id.hex(),
        vote_type=kind,
        vote=choice,
        choice=voting.choice_word(kind, choice),
        round=round_,
        nonce=ballot.nonce,
        expires_at=formats.iso8601(ballot.expires),
    )


@post(
    "/api/votes/{kind:str}",
    operation_id="castVote",
    tags=["votes"],
    responses=failures(400, 401, 404, 409, 413, 415),
    security=[{"wallet": []}],
)
async def cast(
    request: Request[Any, Any, Any],
    ballot_box: BallotBatcherDep,
    kind: AnyKind,
    data: JSONBody[NewVote],
    idempotency_key: Annotated[
        str | None, HeaderParameter(name="Idempotency-Key", max_length=100)
    ] = None,
) -> CastVote:
    """Cast a signed ballot: one per wallet, market, kind and round, for ever. The same
    signature or Idempotency-Key gives the stored answer again.
    """
    if data.vote is None and data.choice is None:
        raise invalid("vote", "is missing")
    value, field = (data.vote, "vote") if data.vote is not None else (data.choice, "choice")
    choice = _choice(kind, value, field)
    key = identifiers.market_key(data.market_id)
    proof = auth.read_proof(request, data.message, data.signature, data.wallet)
    ballot = SignedBallot(
        market_id=key,
        kind=kind,
        wallet=proof.wallet,
        choice=choice,
        message=proof.message,
        signature=proof.signature,
        idempotency_key=idempotency_key,
    )
    try:
        stored = await ballot_box.cast(ballot)
    except cast_results.UnknownMarket as error:
        raise not_found("Market") from error
    except BallotRejected as error:
        raise _rejected(error) from error
    except cast_results.BallotConflict as error:
        stored_row = msgspec.to_builtins(ballot_schema.ballot(error.stored))
        raise ApiError(
            409,
            "This wallet has already voted in this market",
            error="already_voted",
            extra={"stored": stored_row},
        ) from error
    except cast_results.VotingClosed as error:
        raise ApiError(
            409, f"The {kind} vote of this market is closed", error="voting_closed"
        ) from error
    row = ballot_schema.ballot(stored.ballot)
    return CastVote(
        data=[row],
        count=1,
        metadata=Receipt("Vote recorded", row.market_id, kind, row.user_wallet),
        counts=_count(stored.votes_for, stored.votes_against, stored.ballot.round, "open"),
        repeated=stored.repeated,
    )


def _rejected(error: BallotRejected) -> ApiError:
    """The proof is at fault: 401. Anything else: 400."""
    refused = invalid(error.field, error.reason)
    if error.field in ("message", "signature"):
        return auth.unauthorized(refused.message, *refused.fields)
    return refused


HANDLERS = [of_market, both, one, text, cast]
