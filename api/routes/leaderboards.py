"""Leaderboards of wallets: by volume, by realised profit, by markets resolved right."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get
from litestar.params import QueryParameter
from sqlalchemy import Connection

from api.dependencies import DatabaseDep, Limit, Offset, error_responses
from api.requests import pages, query_rules
from zmart_pipelines.client_schemas import formats
from zmart_pipelines.program.lifecycle import share_bps
from zmart_pipelines.store.queries import leaderboards


class RankedWallet(formats.ExactIntegers, frozen=True, kw_only=True):
    """A wallet's place; amounts in lamports.

    `rank` is 1 and the number of wallets with a better value: equal ones share it. `profit` is
    realised: by sales, claims and settlements. `resolved` are markets that were finalized with an
    outcome while the wallet held more shares of one side, `resolved_right` those of them where that
    side won, and `right_bps` their share in basis points, rounded down.
    """

    rank: int
    wallet: str
    trades: int
    volume: formats.LargeInt
    profit: formats.LargeInt
    resolved: int
    resolved_right: int
    right_bps: int


class RankedWallets(msgspec.Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """A page of a leaderboard. `count` is the page's, `total` that of all pages.

    Where more than 1,000 wallets are ranked, `total` is 1,000 and `count_capped` is true.

    The figures are those of the window from `from` up to `as_of`, on the chain's clock; `as_of` is
    null before the first refresh, `from` also for all time.
    """

    leaderboard: list[RankedWallet]
    by: leaderboards.By
    period: leaderboards.Period
    from_: str | None
    as_of: str | None
    count: int
    total: int
    count_capped: bool
    limit: int
    offset: int
    next: str | None


@get(
    "/api/leaderboards",
    tags=["wallets"],
    responses=error_responses(400),
    response_headers=[pages.LINK],
    opt=query_rules.stated(
        pages.rule(lambda given: leaderboards.ORDERS[given.query.get("by", "volume")])
    ),
)
async def list_leaderboard(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    by: Annotated[
        leaderboards.By,
        QueryParameter(
            description="`volume`: lamports traded. `profit`: lamports realised. `resolved_right`:"
            " markets whose outcome was the wallet's larger side, then the fewest others."
        ),
    ] = "volume",
    period: Annotated[
        leaderboards.Period,
        QueryParameter(description="The last 24 hours or 7 days, from a full hour, or all time."),
    ] = "week",
    limit: Limit = 50,
    offset: Offset = 0,
    cursor: pages.Cursor = None,
) -> Response[RankedWallets]:
    """Rank wallets over a window of the chain's time, the best first; equal ones by address."""
    page = pages.requested(leaderboards.ORDERS[by], limit, offset, cursor)

    def read(conn: Connection) -> RankedWallets:
        window = leaderboards.leaderboard(conn, period)
        rows = leaderboards.find_entries(
            conn, by, period, after=page.after, limit=page.fetch, offset=page.offset
        )
        shown, following = page.cut(rows)
        ranks = leaderboards.ranks(conn, by, period, shown)
        ranked = leaderboards.count_entries(conn, by, period)
        return RankedWallets(
            leaderboard=[
                RankedWallet(
                    rank=rank,
                    wallet=formats.base58_key(row.wallet),
                    trades=row.trades,
                    volume=row.volume,
                    profit=row.profit,
                    resolved=row.resolved,
                    resolved_right=row.resolved_right,
                    right_bps=share_bps(row.resolved_right, row.resolved),
                )
                for rank, row in zip(ranks, shown, strict=True)
            ],
            by=by,
            period=period,
            from_=formats.chain_time(window.starts_at) if window else None,
            as_of=formats.chain_time(window.as_of) if window else None,
            count=len(shown),
            total=min(ranked, leaderboards.COUNT_LIMIT),
            count_capped=ranked > leaderboards.COUNT_LIMIT,
            limit=limit,
            offset=offset,
            next=following,
        )

    body = await database.read(read)
    return pages.response(request, body, body.next)


HANDLERS = [list_leaderboard]
