"""A wallet's claims: those that are due, and those that were paid."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from litestar import Request, Response, get
from litestar.params import QueryParameter
from sqlalchemy import Connection

from api.dependencies import NAMED_READ_ERRORS, DatabaseDep, Limit, Offset, WalletPath
from api.requests import identifiers, pages, query_rules
from zmart_pipelines.client_schemas import formats
from zmart_pipelines.client_schemas.claims import Claim, due_claim, paid_claim
from zmart_pipelines.statistics import wallet_reads
from zmart_pipelines.store.queries import positions, wallet_activity
from zmart_pipelines.store.queries.keyset import Order


class WalletClaims(formats.ExactIntegers, frozen=True, kw_only=True):
    """A page of a wallet's claims. `count` is the page's, `total` that of all pages.

    `claimed` is the sum of all that was paid, in lamports.
    """

    claims: list[Claim]
    count: int
    total: int
    claimed: formats.LargeInt
    wallet: str
    limit: int
    offset: int
    next: str | None


def _order(status: str) -> Order:
    return positions.BY_LAST_TRADE if status == "due" else wallet_activity.CLAIMS


@get(
    "/api/users/{wallet:str}/claims",
    tags=["wallets"],
    responses=NAMED_READ_ERRORS,
    response_headers=[pages.LINK],
    opt=query_rules.stated(pages.rule(lambda given: _order(given.query.get("status", "due")))),
)
async def list_user_claims(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    wallet: WalletPath,
    status: Annotated[
        Literal["due", "done"],
        QueryParameter(description="`due`: not yet claimed. `done`: paid."),
    ] = "due",
    limit: Limit = 50,
    offset: Offset = 0,
    cursor: pages.Cursor = None,
) -> Response[WalletClaims]:
    """List a wallet's claims: those that are due by last trade, those that were paid newest first.

    A due claim may be one that the program refuses at the moment, because the market's account does
    not hold enough; `claim_refusal` says so.
    """
    key = identifiers.wallet(wallet)
    page = pages.requested(_order(status), limit, offset, cursor)

    def read(conn: Connection) -> WalletClaims:
        paid = wallet_activity.claim_totals(conn, key)
        if status == "due":
            items, following = _read_due(conn, key, page)
            total = positions.count_of_user(conn, key, status="claimable")
        else:
            items, following = _read_done(conn, key, page)
            total = paid.number
        return WalletClaims(
            claims=items,
            count=len(items),
            total=total,
            claimed=paid.amount,
            wallet=wallet,
            limit=limit,
            offset=offset,
            next=following,
        )

    body = await database.read(read)
    return pages.response(request, body, body.next)


def _read_due(conn: Connection, key: bytes, page: pages.Page) -> tuple[list[Claim], str | None]:
    rows = positions.of_user(
        conn, key, status="claimable", after=page.after, limit=page.fetch, offset=page.offset
    )
    shown, following = page.cut(rows)
    held = wallet_reads.with_results(conn, key, shown)
    return [due_claim(row, result.claim_refusal) for row, result in held], following


def _read_done(conn: Connection, key: bytes, page: pages.Page) -> tuple[list[Claim], str | None]:
    rows = wallet_activity.claims_of_wallet(
        conn, key, after=page.after, limit=page.fetch, offset=page.offset
    )
    shown, following = page.cut(rows)
    return [paid_claim(row) for row in shown], following


HANDLERS = [list_user_claims]
