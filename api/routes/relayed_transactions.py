"""Signed transactions: handed in, and those of the wallet that signed in."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody
from sqlalchemy import Connection

from api import caching
from api.created import locate
from api.dependencies import (
    CallerDep,
    DatabaseDep,
    Limit,
    Offset,
    SettingsDep,
    TransactionRelayDep,
    error_responses,
)
from api.error_codes import ErrorCode
from api.errors import invalid
from api.identity.key_scopes import reading_wallet, require_trading
from api.openapi.security import SESSION_OR_KEY
from api.requests import identifiers, pages
from api.requests.bodies import RelayRequest
from zmart_pipelines.client_schemas import relayed_transactions as schemas
from zmart_pipelines.client_schemas.formats import base58_signature
from zmart_pipelines.relay.signed_transaction import NotRelayed, parse_signed
from zmart_pipelines.store.queries import relayed_transactions as queries


class RelayedTransactionList(msgspec.Struct, frozen=True):
    """A page of relayed transactions, newest first. `count` is the page's."""

    transactions: list[schemas.RelayedTransaction]
    count: int
    limit: int
    offset: int
    next: str | None


_REPEATED = ResponseSpec(
    data_container=schemas.RelayedTransaction,
    generate_examples=False,
    description="It was handed in before; this is how far it has come.",
    media_type="application/json",
)


@post(
    "/api/transactions",
    tags=["transactions"],
    responses={200: _REPEATED, **error_responses(400, 403, 409, 413, 415, 429)},
    opt={"bucket": "write"},
)
async def relay_transaction(
    request: Request[Any, Any, Any],
    settings: SettingsDep,
    caller: CallerDep,
    transaction_relay: TransactionRelayDep,
    data: JSONBody[RelayRequest],
) -> Response[schemas.RelayedTransaction]:
    """Hand in a signed transaction of the program: it is stored, then sent until it has landed.

    Its fee payer's signature is the permission, and its id. The same transaction again is answered
    with 200 and how far it has come.
    """
    try:
        signed = parse_signed(
            identifiers.base64_bytes(data.transaction, "transaction"), settings.program
        )
    except NotRelayed as refusal:
        raise invalid(
            "transaction", str(refusal), 400, ErrorCode.TRANSACTION_NOT_RELAYED
        ) from refusal
    require_trading(caller, signed.fee_payer, "transaction")
    row, is_new = await transaction_relay.accept(signed)
    if is_new:
        locate(request, f"/api/transactions/{base58_signature(signed.signature)}")
    return Response(schemas.relayed_transaction(row), status_code=201 if is_new else 200)


@get(
    "/api/transactions",
    cache_control=caching.NO_STORE,
    tags=["transactions"],
    responses=error_responses(400, 401, 403),
    security=SESSION_OR_KEY,
    response_headers=[pages.LINK],
)
async def list_relayed_transactions(
    request: Request[Any, Any, Any],
    caller: CallerDep,
    database: DatabaseDep,
    limit: Limit = 50,
    offset: Offset = 0,
    cursor: pages.Cursor = None,
) -> Response[RelayedTransactionList]:
    """List the relayed transactions that the caller's wallet pays for, newest first."""
    wallet = reading_wallet(caller)
    page = pages.requested(queries.NEWEST, limit, offset, cursor)

    def read(conn: Connection) -> RelayedTransactionList:
        rows = queries.relayed_of_wallet(
            conn, wallet, after=page.after, limit=page.fetch, offset=page.offset
        )
        shown, following = page.cut(rows)
        items = [schemas.relayed_transaction(row) for row in shown]
        return RelayedTransactionList(items, len(items), page.limit, page.offset, following)

    # As the wallet: row-level security shows its own transactions only.
    body = await database.write(wallet, read)
    return pages.response(request, body, body.next)


HANDLERS = [relay_transaction, list_relayed_transactions]
