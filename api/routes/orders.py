"""What operators order. The pipelines carry it out; this process holds no key and starts no run."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from litestar import Request, Response, get, post
from litestar.params import HeaderParameter, JSONBody, PathParameter, QueryParameter
from sqlalchemy import Connection

from api import caching
from api.created import locate
from api.dependencies import CallerDep, DatabaseDep, Limit, Offset, error_responses
from api.error_codes import ErrorCode
from api.errors import ApiError, FieldError, invalid, not_found
from api.identity import idempotency
from api.identity.caller import require_operator
from api.identity.operators import operator_of
from api.openapi import security
from api.requests import pages, reasons
from api.requests.reasons import ReasonText
from api.requests.validation import FieldRules, require_field_rules
from zmart_pipelines.client_schemas.formats import base58_key, iso8601, iso8601_or_none
from zmart_pipelines.operations import order_parameters
from zmart_pipelines.operations.order_parameters import ParametersRefused
from zmart_pipelines.store import audit
from zmart_pipelines.store.queries import orders
from zmart_pipelines.store.queries.orders import OrderRow

Kind = Literal[
    "resolve_market",
    "backfill",
    "breaker_reset",
    "switch",
    "redeliver",
    "redecode",
    "retry_submission",
    "close_submission",
    "reopen_vote",
]


class NewOrder(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An order. The documentation lists the `parameters` of each kind."""

    FIELD_RULES: ClassVar[FieldRules] = {"reason": reasons.reason}

    kind: Kind
    reason: ReasonText
    parameters: dict[str, Any] = {}

    def __post_init__(self) -> None:
        """Apply the rules that a type cannot state."""
        require_field_rules(self, self.FIELD_RULES)


class OperatorOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order and what came of it.

    `status`: `requested` until a run of the pipelines accepts it, then `accepted`, and in the end
    `done` or `failed`, with `result` in words. `run_id` is the Dagster run. `wallet` or `service`
    ordered it.
    """

    id: int
    kind: Kind
    parameters: dict[str, Any]
    reason: str
    status: orders.Status
    result: str | None
    run_id: str | None
    attempts: int
    wallet: str | None
    service: str | None
    requested_at: str
    accepted_at: str | None
    ended_at: str | None


class OrderList(msgspec.Struct, frozen=True):
    """A page of orders, newest first. `count` is the page's."""

    orders: list[OperatorOrder]
    count: int
    limit: int
    offset: int
    next: str | None


@post(
    "/api/orders",
    tags=["operators"],
    responses=error_responses(400, 401, 403, 409, 413, 415),
    security=security.OPERATOR,
    opt={"bucket": "write"},
)
async def create_order(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    caller: CallerDep,
    data: JSONBody[NewOrder],
    idempotency_key: Annotated[
        str,
        HeaderParameter(
            name=idempotency.HEADER,
            min_length=1,
            max_length=idempotency.MAX_KEY,
            description="The same order under the same key is one order; kept for ever.",
        ),
    ],
) -> OperatorOrder:
    """Order something of the pipelines; only operators may.

    A run carries it out within seconds and writes the result into the order. The same request
    under the same Idempotency-Key returns the order as it is now.
    """
    operator = operator_of(caller)
    try:
        order_parameters.parse(data.kind, data.parameters)
    except ParametersRefused as error:
        field = f"parameters.{error.field}" if error.field else "parameters"
        raise invalid(field, error.reason) from error
    new = orders.NewOrder(
        kind=data.kind,
        parameters=data.parameters,
        reason=reasons.reason(data.reason),
        idempotency_key=idempotency_key,
        requester=operator,
    )
    row = await database.write_as_operator(caller.wallet, lambda conn: _add(conn, new))
    locate(request, f"/api/orders/{row.id}")
    return _order(row)


def _add(conn: Connection, new: orders.NewOrder) -> OrderRow:
    """Insert the order and its audit row; return the stored one where it is a repeat.

    Raises:
        ApiError: 409 where the key was used for another order.
    """
    added = orders.add(conn, new)
    if added is not None:
        audit.record(
            conn,
            new.requester,
            "api",
            f"order_{new.kind}",
            str(added.id),
            new.reason,
            {"order": added.id, "parameters": dict(new.parameters)},
        )
        return added
    stored = orders.by_key(conn, new.idempotency_key)
    same = stored is not None and (
        (stored.kind, stored.parameters, stored.reason, stored.requester)
        == (new.kind, new.parameters, new.reason, new.requester)
    )
    if stored is None or not same:
        reason = "was already used for another order; send a new key"
        raise ApiError(
            409,
            f"{idempotency.HEADER}: {reason}",
            FieldError(idempotency.HEADER, reason),
            code=ErrorCode.IDEMPOTENCY_KEY_USED,
        )
    return stored


@get(
    "/api/orders",
    tags=["operators"],
    responses=error_responses(400, 401, 403),
    response_headers=[pages.LINK],
    cache_control=caching.NO_STORE,
    security=security.OPERATOR,
)
async def list_orders(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    caller: CallerDep,
    kind: Annotated[Kind | None, QueryParameter(description="Only orders of this kind.")] = None,
    status: Annotated[
        orders.Status | None, QueryParameter(description="Only orders of this status.")
    ] = None,
    limit: Limit = 50,
    offset: Offset = 0,
    cursor: pages.Cursor = None,
) -> Response[OrderList]:
    """List the orders of operators, newest first; only operators may."""
    require_operator(caller)
    page = pages.requested(orders.NEWEST, limit, offset, cursor)

    def read(conn: Connection) -> OrderList:
        rows = orders.find_orders(
            conn,
            kind=kind,
            status=status,
            after=page.after,
            limit=page.fetch,
            offset=page.offset,
        )
        shown, following = page.cut(rows)
        items = [_order(row) for row in shown]
        return OrderList(items, len(items), page.limit, page.offset, following)

    body = await database.write_as_operator(caller.wallet, read)
    return pages.response(request, body, body.next)


@get(
    "/api/orders/{order:int}",
    tags=["operators"],
    responses=error_responses(400, 401, 403, 404),
    cache_control=caching.NO_STORE,
    security=security.OPERATOR,
)
async def get_order(
    database: DatabaseDep,
    caller: CallerDep,
    order: Annotated[int, PathParameter(description="The order's number.")],
) -> OperatorOrder:
    """Get an order with its status and result; only operators may."""
    require_operator(caller)
    # No row has a number outside of BIGINT, and Postgres takes none.
    row = None
    if 0 < order < 2**63:
        row = await database.write_as_operator(
            caller.wallet, lambda conn: orders.by_id(conn, order)
        )
    if row is None:
        raise not_found("Order")
    return _order(row)


def _order(row: OrderRow) -> OperatorOrder:
    return OperatorOrder(
        id=row.id,
        kind=msgspec.convert(row.kind, Kind),
        parameters=row.parameters,
        reason=row.reason,
        status=row.status,
        result=row.result,
        run_id=row.run_id,
        attempts=row.attempts,
        wallet=None if row.wallet is None else base58_key(row.wallet),
        service=row.service,
        requested_at=iso8601(row.requested_at),
        accepted_at=iso8601_or_none(row.accepted_at),
        ended_at=iso8601_or_none(row.ended_at),
    )


HANDLERS = [create_order, list_orders, get_order]
