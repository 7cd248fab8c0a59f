"""Comparisons of the ledger with all accounts of the chain."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, get
from litestar.params import QueryParameter
from sqlalchemy import Connection

from api.dependencies import READ_ERRORS, DatabaseDep, Limit, Offset, error_responses
from api.markets.lookup import require_market_id
from api.requests import identifiers, pages, query_rules
from zmart_pipelines.client_schemas.formats import base58_key_or_none, iso8601, iso8601_or_none
from zmart_pipelines.store.queries import reconciliation

DifferenceClass = Literal["in_flight", "lag", "missing_event", "decode_error", "drift"]


class DifferenceCounts(msgspec.Struct, frozen=True):
    """How many fields differ, by cause.

    `in_flight` and `lag` pass by themselves: the chain moved on, or the ledger had not read that
    far. `missing_event` and `decode_error` are repaired by reading the transactions again. `drift`
    was found twice and nothing explains it.
    """

    in_flight: int = 0
    lag: int = 0
    missing_event: int = 0
    decode_error: int = 0
    drift: int = 0


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison of all accounts with the ledger's fold as of their slots.

    `covered_slot` is the slot up to which the ledger was proved complete then. `markets` and
    `positions` are how many accounts were compared.
    """

    id: int
    reconciled_at: str
    market_slot: int
    position_slot: int
    covered_slot: int | None
    markets: int
    positions: int
    differences: DifferenceCounts


class ReconciliationList(msgspec.Struct, frozen=True, kw_only=True):
    """Comparisons, newest first, and the fields that differ now.

    `status` is `differs` while a field differs for a reason that does not pass by itself, and
    `unknown` before the first comparison.
    """

    status: Literal["agrees", "differs", "unknown"]
    open_differences: DifferenceCounts
    reconciliations: list[Reconciliation]
    count: int
    limit: int
    offset: int
    next: str | None


class AccountDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A field in which the ledger and an account differ, or differed until `cleared_at`.

    `user_wallet` is set for a position. `ledger` and `chain` are the values as text; null where
    that side has no such market or position. `slot` is that of the account, `occurrences` counts
    the comparisons in a row that found the difference.
    """

    id: int
    market_id: str
    user_wallet: str | None
    field: str
    ledger: str | None
    chain: str | None
    cause: DifferenceClass
    slot: int
    occurrences: int
    first_seen_at: str
    last_seen_at: str
    cleared_at: str | None


class AccountDifferenceList(msgspec.Struct, frozen=True):
    """A page of differences, newest first. `count` is the page's."""

    differences: list[AccountDifference]
    count: int
    limit: int
    offset: int
    next: str | None


_LASTING = ("missing_event", "decode_error", "drift")


@get(
    "/api/reconciliation",
    tags=["ledger"],
    responses=READ_ERRORS,
    response_headers=[pages.LINK],
    opt=query_rules.stated(pages.rule(reconciliation.NEWEST)),
)
async def list_reconciliations(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    limit: Limit = 20,
    offset: Offset = 0,
    cursor: pages.Cursor = None,
) -> Response[ReconciliationList]:
    """List the comparisons of the ledger with the chain's accounts, newest first."""
    page = pages.requested(reconciliation.NEWEST, limit, offset, cursor)

    def read(conn: Connection) -> ReconciliationList:
        rows = reconciliation.find_reconciliations(
            conn, after=page.after, limit=page.fetch, offset=page.offset
        )
        shown, following = page.cut(rows)
        known = shown or reconciliation.find_reconciliations(conn, limit=1)
        by_class = reconciliation.open_differences_by_class(conn)
        differs = any(by_class.get(name) for name in _LASTING)
        return ReconciliationList(
            status="differs" if differs else "agrees" if known else "unknown",
            open_differences=DifferenceCounts(**by_class),
            reconciliations=[_reconciliation(row) for row in shown],
            count=len(shown),
            limit=page.limit,
            offset=page.offset,
            next=following,
        )

    body = await database.read(read)
    return pages.response(request, body, body.next)


def _reconciliation(row: reconciliation.Reconciliation) -> Reconciliation:
    return Reconciliation(
        id=row.id,
        reconciled_at=iso8601(row.reconciled_at),
        market_slot=row.market_slot,
        position_slot=row.position_slot,
        covered_slot=row.covered_slot,
        markets=row.markets,
        positions=row.positions,
        differences=DifferenceCounts(
            row.in_flight, row.lag, row.missing_event, row.decode_error, row.drift
        ),
    )


@get(
    "/api/reconciliation/differences",
    tags=["ledger"],
    responses=error_responses(400, 404),
    response_headers=[pages.LINK],
    opt=query_rules.stated(
        query_rules.parsed(identifiers.market_key, "market"),
        pages.rule(reconciliation.NEWEST_DIFFERENCES),
    ),
)
async def list_account_differences(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    open_: Annotated[
        bool | None,
        QueryParameter(name="open", description="Whether the last comparison still found it."),
    ] = None,
    market: Annotated[str | None, QueryParameter(description="Id or address of a market.")] = None,
    limit: Limit = 50,
    offset: Offset = 0,
    cursor: pages.Cursor = None,
) -> Response[AccountDifferenceList]:
    """List fields in which the ledger and the chain's accounts differ or differed."""
    page = pages.requested(reconciliation.NEWEST_DIFFERENCES, limit, offset, cursor)
    key = None if market is None else identifiers.market_key(market, "market")

    def read(conn: Connection) -> AccountDifferenceList:
        rows = reconciliation.find_differences(
            conn,
            is_open=open_,
            market_id=None if key is None else require_market_id(conn, key),
            after=page.after,
            limit=page.fetch,
            offset=page.offset,
        )
        shown, following = page.cut(rows)
        items = [_difference(row) for row in shown]
        return AccountDifferenceList(items, len(items), page.limit, page.offset, following)

    body = await database.read(read)
    return pages.response(request, body, body.next)


def _difference(row: reconciliation.Difference) -> AccountDifference:
    return AccountDifference(
        id=row.id,
        market_id=row.market_id.hex(),
        user_wallet=base58_key_or_none(row.user),
        field=row.field,
        ledger=row.folded,
        chain=row.chain,
        cause=msgspec.convert(row.class_, DifferenceClass),
        slot=row.slot,
        occurrences=row.occurrences,
        first_seen_at=iso8601(row.first_seen_at),
        last_seen_at=iso8601(row.last_seen_at),
        cleared_at=iso8601_or_none(row.cleared_at),
    )


HANDLERS = [list_reconciliations, list_account_differences]
