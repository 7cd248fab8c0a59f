"""What handlers ask for by name, and the parameters that many of them take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import PathParameter, QueryParameter

from api.ballot_batcher import BallotBox
from api.chain import Chain
from api.database import Database
from api.delivery_intake import Intake
from api.errors import ErrorBody
from api.realtime.hub import Hub
from api.realtime.socket import Door
from zmart_pipelines.ipfs.pin_store import PinStore
from zmart_pipelines.settings import Settings

DatabaseDep: TypeAlias = NamedDependency[Database]
SettingsDep: TypeAlias = NamedDependency[Settings]
BallotBatcherDep: TypeAlias = NamedDependency[BallotBox]
HubDep: TypeAlias = NamedDependency[Hub]
DeliveryIntakeDep: TypeAlias = NamedDependency[Intake]
ConnectionPolicyDep: TypeAlias = NamedDependency[Door]
ChainDep: TypeAlias = NamedDependency[Chain]
PinStoreDep: TypeAlias = NamedDependency[PinStore]

MAX_PAGE = 200

MarketPath: TypeAlias = Annotated[
    str, PathParameter(description="The market's id (64 hex digits) or its base58 address.")
]
WalletPath: TypeAlias = Annotated[str, PathParameter(description="The wallet's base58 address.")]
Limit: TypeAlias = Annotated[
    int, QueryParameter(ge=0, le=MAX_PAGE, description="Rows on the page.")
]
Offset: TypeAlias = Annotated[
    int, QueryParameter(ge=0, le=1_000_000, description="Rows skipped before the page.")
]

_MEANINGS = {
    400: "The request does not do; details name the fields.",
    401: "No proof of the wallet, or one that does not hold.",
    403: "Not yours.",
    404: "Not found.",
    409: "In conflict with what is stored, or too late.",
    413: "The body is too large.",
    415: "The body is not plain JSON.",
    503: "Postgres or the chain is away; try again after Retry-After seconds.",
}


def failures(*statuses: int) -> dict[int, ResponseSpec]:
    """The failures of a route for its description; every route may answer 503."""
    return {
        status: ResponseSpec(
            data_container=ErrorBody,
            generate_examples=False,
            description=_MEANINGS[status],
            media_type="application/json",
        )
        for status in (*statuses, 503)
    }


READS = failures(400)
WRITES = failures(400, 401, 404, 413, 415)


def operation(name: str) -> Any:
    """The operation's id: ``name`` on the first path of a handler, numbered on its aliases."""
    seen: list[str] = []

    def create(_handler: object, _method: str, path: Sequence[object]) -> str:
        text = "/".join(str(getattr(part, "name", part)) for part in path)
        if text not in seen:
            seen.append(text)
        place = seen.index(text)
        return name if place == 0 else f"{name}Alias{place}"

    return create
