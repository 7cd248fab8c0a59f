"""Ballots: the text to sign, and casting."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from litestar import Request, get, post
from litestar.params import HeaderParameter, JSONBody, QueryParameter
from sqlalchemy import Connection

from api import ballot_schema, caching
from api.ballot_batcher import BallotBatcher
from api.created import locate
from api.dependencies import (
    BallotBatcherDep,
    DatabaseDep,
    MarketPath,
    SettingsDep,
    VoteKindPath,
    error_responses,
)
from api.error_codes import ErrorCode
from api.errors import ApiError, invalid, not_found
from api.identity import auth
from api.markets.lookup import require_market_id
from api.markets.vote_counts import VoteCount, vote_count
from api.requests import identifiers, query_rules
from api.requests.bodies import MarketVote, NewVote, OlderMarketVote, vote_choice
from zmart_pipelines.client_schemas import formats, voting
from zmart_pipelines.program.vote_choices import VOTE_CHOICES
from zmart_pipelines.store.queries import votes
from zmart_pipelines.voting import cast_results
from zmart_pipelines.voting.ballot import (
    BallotExpired,
    BallotRejected,
    BallotText,
    IdempotencyKeyUsed,
    Kind,
    OlderBallot,
    SignatureUsed,
    SignedBallot,
    WalletNotEligible,
)

# A ballot may expire at most BALLOT_TTL_SECONDS ahead of the server's clock. The text expires
# after half of that, so that the signer's clock need not be exact.
_EXPIRY_DIVISOR = 2


_CAST_ERRORS: Final = error_responses(400, 401, 404, 409, 413, 415, 429)
BallotKey: TypeAlias = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        max_length=100,
        description="A wallet's ballot under this key is answered the same for ever.",
    ),
]


class BallotTextToSign(msgspec.Struct, frozen=True):
    """The text that a wallet signs, byte for byte, to vote; valid until `expires_at`."""

    message: str
    market_id: str
    vote_type: str
    vote: bool
    choice: str
    round: int
    nonce: str
    expires_at: str


class CastMetadata(msgspec.Struct, frozen=True):
    """The market, kind and wallet of the stored ballot."""

    message: str
    market_id: str
    vote_type: str
    user_wallet: str


class CastVote(msgspec.Struct, frozen=True):
    """The stored ballot and the counts including it.

    `repeated` is true where the same ballot was stored before.
    """

    data: list[ballot_schema.Ballot]
    count: int
    metadata: CastMetadata
    counts: VoteCount
    repeated: bool


class AcceptedVote(msgspec.Struct, frozen=True, rename="camel"):
    """The stored ballot, as the older vote service answered. `timestamp` is in milliseconds."""

    success: bool
    vote_id: str
    market_id: str
    vote: str
    timestamp: int


def _chosen(kinds: Collection[Kind], vote: object, choice: object) -> bool:
    """Return the choice in a body, by either of its members, in words of these kinds of vote."""
    if vote is None and choice is None:
        raise invalid("vote", "is required")
    value, field = (vote, "vote") if vote is not None else (choice, "choice")
    return vote_choice(value, field, kinds)


def _choice_in_query(given: query_rules.Given) -> None:
    kind, vote = given.path["kind"], given.query.get("vote")
    if kind in VOTE_CHOICES and vote is not None:
        vote_choice(vote, "vote", [msgspec.convert(kind, Kind)])


def _choice_in_body(given: query_rules.Given) -> None:
    """Require a choice, in words of the kind where that is a parameter of the path."""
    kind, body = given.path.get("kind"), given.body
    if not isinstance(body, dict):
        return
    kinds = [msgspec.convert(kind, Kind)] if kind in VOTE_CHOICES else tuple(VOTE_CHOICES)
    _chosen(kinds, body.get("vote"), body.get("choice"))


@get(
    "/api/votes/{kind:str}/{market:str}/message",
    cache_control=caching.NO_STORE,
    tags=["votes"],
    responses=error_responses(400, 404),
    opt=query_rules.stated(_choice_in_query),
)
async def get_ballot_text(
    database: DatabaseDep,
    settings: SettingsDep,
    kind: VoteKindPath,
    market: MarketPath,
    vote: Annotated[
        str, QueryParameter(description="true, like or agree; or false, dislike or disagree.")
    ],
) -> BallotTextToSign:
    """Get the exact text to sign for a ballot.

    It names the market, the kind, the round and the choice, and expires. Request a new text
    for each ballot.
    """
    choice = vote_choice(vote, "vote", [kind])
    key = identifiers.market_key(market, "market")

    def read(conn: Connection) -> tuple[bytes, int]:
        market_id = require_market_id(conn, key)
        return market_id, votes.latest_round(conn, market_id, kind)

    market_id, round_ = await database.read(read)
    ttl = timedelta(seconds=settings.ballot_ttl_seconds // _EXPIRY_DIVISOR)
    ballot = BallotText(
        program=bytes(settings.program),
        network=settings.solana_cluster,
        market_id=market_id,
        kind=kind,
        round=round_,
        choice=choice,
        nonce=secrets.token_hex(8),
        expires=(datetime.now(UTC) + ttl).replace(microsecond=0),
    )
    return BallotTextToSign(
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
    tags=["votes"],
    responses=_CAST_ERRORS,
    security=[{"wallet": []}],
    opt=query_rules.stated(_choice_in_body),
)
async def cast_vote(
    request: Request[Any, Any, Any],
    ballot_batcher: BallotBatcherDep,
    kind: VoteKindPath,
    data: JSONBody[NewVote],
    idempotency_key: BallotKey = None,
) -> CastVote:
    """Cast a signed ballot.

    A wallet has one ballot per market, kind and round, which is final. The same signature or
    Idempotency-Key returns the stored answer again.
    """
    ballot = _signed_ballot(request, kind, data.market_id, data, idempotency_key)
    return await _cast(request, ballot_batcher, ballot)


@post(
    ["/api/markets/{market:str}/vote", "/api/markets/{market:str}/dispute/vote"],
    tags=["votes"],
    responses=_CAST_ERRORS,
    security=[{"wallet": []}],
    opt=query_rules.stated(_choice_in_body),
)
async def cast_market_vote(
    request: Request[Any, Any, Any],
    ballot_batcher: BallotBatcherDep,
    market: MarketPath,
    data: JSONBody[MarketVote],
    idempotency_key: BallotKey = None,
) -> CastVote:
    """Cast a signed ballot in a market's vote on its proposal, or on its dispute: older paths."""
    kind: Kind = "dispute" if request.scope["path"].endswith("/dispute/vote") else "proposal"
    ballot = _signed_ballot(request, kind, market, data, idempotency_key)
    return await _cast(request, ballot_batcher, ballot)


@post(
    "/api/votes/{kind:str}/{market:str}",
    status_code=200,
    tags=["votes"],
    responses=_CAST_ERRORS,
    security=[{"wallet": []}],
    opt=query_rules.stated(_choice_in_body),
)
async def cast_older_vote(
    request: Request[Any, Any, Any],
    ballot_batcher: BallotBatcherDep,
    kind: VoteKindPath,
    market: MarketPath,
    data: JSONBody[OlderMarketVote],
    idempotency_key: BallotKey = None,
) -> AcceptedVote:
    """Cast a signed ballot: the path, body and answer of the older vote service."""
    signed = msgspec.structs.replace(data, wallet=data.wallet or data.public_key)
    ballot = _signed_ballot(request, kind, market, signed, idempotency_key)
    cast = await _cast(request, ballot_batcher, ballot)
    (row,) = cast.data
    voted_at = int(datetime.fromisoformat(row.voted_at).timestamp() * 1000)
    return AcceptedVote(True, row.id, row.market_id, row.choice, voted_at)


async def _cast(
    request: Request[Any, Any, Any],
    ballot_batcher: BallotBatcher,
    ballot: SignedBallot,
) -> CastVote:
    kind = ballot.kind
    try:
        receipt = await ballot_batcher.cast(ballot)
    except (BallotRejected, cast_results.BallotConflict, cast_results.VotingClosed) as error:
        raise _refusal(kind, error) from error
    row = ballot_schema.ballot(receipt.ballot)
    locate(request, f"/api/votes/{kind}/{row.market_id}")
    return CastVote(
        data=[row],
        count=1,
        metadata=CastMetadata("Vote recorded", row.market_id, kind, row.user_wallet),
        counts=vote_count(receipt.votes_for, receipt.votes_against, receipt.ballot.round, "open"),
        repeated=receipt.repeated,
    )


def _signed_ballot(
    request: Request[Any, Any, Any],
    kind: Kind,
    market: str,
    body: MarketVote,
    idempotency_key: str | None,
) -> SignedBallot:
    choice = _chosen([kind], body.vote, body.choice)
    market_key = identifiers.market_key(market)
    signed = auth.read_signed_message(request, body)
    return SignedBallot(
        market_id=market_key,
        kind=kind,
        wallet=signed.wallet,
        choice=choice,
        message=signed.message,
        signature=signed.signature,
        idempotency_key=idempotency_key,
    )


def _refusal(
    kind: Kind, error: BallotRejected | cast_results.BallotConflict | cast_results.VotingClosed
) -> ApiError:
    """Return the error response for a ballot that was not stored."""
    if isinstance(error, cast_results.UnknownMarket):
        return not_found("Market")
    if isinstance(error, cast_results.BallotConflict):
        return ApiError(
            409,
            "This wallet has already voted in this market",
            code=ErrorCode.ALREADY_VOTED,
            extra={"stored": ballot_schema.ballot(error.stored)},
        )
    if isinstance(error, cast_results.VotingClosed):
        return ApiError(
            409, f"The {kind} vote of this market is closed", code=ErrorCode.VOTING_CLOSED
        )
    if error.field == "idempotency_key":
        is_used = isinstance(error, IdempotencyKeyUsed)
        code = ErrorCode.IDEMPOTENCY_KEY_USED if is_used else ErrorCode.INVALID_FIELD
        return invalid("Idempotency-Key", error.reason, 409 if is_used else 400, code)
    if isinstance(error, WalletNotEligible):
        return invalid(error.field, error.reason, code=ErrorCode.NOT_ELIGIBLE)
    if error.field not in ("message", "signature"):
        return invalid(error.field, error.reason)
    reason = f"{error.reason}; GET /api/votes/{kind}/{{market}}/message returns it"
    if isinstance(error, OlderBallot):
        return invalid("message", reason)
    rejected = invalid(error.field, reason if error.field == "message" else error.reason)
    return auth.unauthorized(rejected.message, *rejected.fields, code=_code_of_proof(error))


def _code_of_proof(error: BallotRejected) -> ErrorCode:
    if isinstance(error, BallotExpired):
        return ErrorCode.SIGNATURE_EXPIRED
    return (
        ErrorCode.SIGNATURE_USED
        if isinstance(error, SignatureUsed)
        else ErrorCode.SIGNATURE_INVALID
    )


HANDLERS = [get_ballot_text, cast_vote, cast_market_vote, cast_older_vote]
