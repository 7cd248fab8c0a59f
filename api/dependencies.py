"""Dependencies of handlers by name, and parameters that many handlers share."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import PathParameter, QueryParameter

from api.ballot_batcher import BallotBatcher
from api.chain import Chain
from api.database import Database
from api.delivery_intake import DeliveryIntake
from api.errors import ErrorBody
from api.health_watch import HealthWatch
from api.hot_reads.known_requests import KnownRequests
from api.hot_reads.market_answers import MarketAnswers
from api.identity.caller import Caller
from api.identity.sessions import Sessions
from api.identity.sign_in_store import SignInStore
from api.identity.writes import Writes
from api.markets.past_states import PastStates
from api.markets.verifications import Verifications
from api.pin_allowance import PinAllowance
from api.pin_health import PinHealth
from api.pins import Pins
from api.rate_limit.request_limits import RequestLimits
from api.realtime.connection_policy import ConnectionPolicy
from api.realtime.hub import Hub
from api.realtime.hub_health import HubHealth
from api.realtime.session_watch import SessionWatch
from api.realtime.sockets import Sockets
from api.snapshot_files import SnapshotFiles
from api.transaction_relay import TransactionRelay
from zmart_pipelines.settings import Settings

CallerDep: TypeAlias = NamedDependency[Caller]
DatabaseDep: TypeAlias = NamedDependency[Database]
KnownRequestsDep: TypeAlias = NamedDependency[KnownRequests]
MarketAnswersDep: TypeAlias = NamedDependency[MarketAnswers]
SessionsDep: TypeAlias = NamedDependency[Sessions]
SignInStoreDep: TypeAlias = NamedDependency[SignInStore]
SettingsDep: TypeAlias = NamedDependency[Settings]
BallotBatcherDep: TypeAlias = NamedDependency[BallotBatcher]
RequestLimitsDep: TypeAlias = NamedDependency[RequestLimits]
HubDep: TypeAlias = NamedDependency[Hub]
HubHealthDep: TypeAlias = NamedDependency[HubHealth]
SocketsDep: TypeAlias = NamedDependency[Sockets]
SessionWatchDep: TypeAlias = NamedDependency[SessionWatch]
DeliveryIntakeDep: TypeAlias = NamedDependency[DeliveryIntake]
ConnectionPolicyDep: TypeAlias = NamedDependency[ConnectionPolicy]
ChainDep: TypeAlias = NamedDependency[Chain]
PastStatesDep: TypeAlias = NamedDependency[PastStates]
VerificationsDep: TypeAlias = NamedDependency[Verifications]
WritesDep: TypeAlias = NamedDependency[Writes]
PinAllowanceDep: TypeAlias = NamedDependency[PinAllowance]
TransactionRelayDep: TypeAlias = NamedDependency[TransactionRelay]
PinsDep: TypeAlias = NamedDependency[Pins]
PinHealthDep: TypeAlias = NamedDependency[PinHealth]
SnapshotFilesDep: TypeAlias = NamedDependency[SnapshotFiles]
HealthWatchDep: TypeAlias = NamedDependency[HealthWatch]

MAX_PAGE = 200

CommentPath: TypeAlias = Annotated[str, PathParameter(description="The comment's id (UUID).")]
MarketPath: TypeAlias = Annotated[
    str, PathParameter(description="The market's id (64 hex digits) or its base58 address.")
]
WalletPath: TypeAlias = Annotated[str, PathParameter(description="The wallet's base58 address.")]
VoteKindPath: TypeAlias = Annotated[
    Literal["proposal", "dispute"], PathParameter(description="The kind of vote.")
]
Limit: TypeAlias = Annotated[
    int, QueryParameter(ge=0, le=MAX_PAGE, description="Maximum number of rows.")
]
Offset: TypeAlias = Annotated[
    int,
    QueryParameter(
        ge=0, le=1_000_000, description="Number of rows to skip; not together with a cursor."
    ),
]

_DESCRIPTIONS = {
    400: "Invalid request; see `details`.",
    401: "The signature is missing, expired or wrong.",
    403: "Another wallet owns the resource, or the key does not permit it.",
    404: "Not found.",
    409: "Conflict with the stored state; `code` names the reason.",
    413: "The body is too large.",
    415: "The body is not uncompressed JSON.",
    422: "The answer would cost more than one request may.",
    429: "A limit on writes is reached; `limit` names it. Retry after `Retry-After` seconds.",
    503: "The database or the chain is unavailable; retry after `Retry-After` seconds.",
}


def error_responses(*statuses: int) -> dict[int, ResponseSpec]:
    """Return a route's error responses for OpenAPI; each may return 400 and 503."""
    return {
        status: ResponseSpec(
            data_container=ErrorBody,
            generate_examples=False,
            description=_DESCRIPTIONS[status],
            media_type="application/json",
        )
        for status in sorted({400, *statuses, 503})
    }


def health_responses(body: Any, *statuses: int) -> dict[int, ResponseSpec]:
    """Return a health check's error responses: where something is down, a 503 with its body."""
    described = error_responses(*statuses)
    described[503] = ResponseSpec(
        data_container=body | ErrorBody,
        generate_examples=False,
        description="Something is down, as the body says; or nothing could be measured.",
        media_type="application/json",
    )
    return described


READ_ERRORS = error_responses(400)
# Of routes with a name in their path.
NAMED_READ_ERRORS = error_responses(400, 404)
