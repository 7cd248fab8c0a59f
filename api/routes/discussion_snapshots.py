"""Snapshots of discussions: which were pinned, and what they hold."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get
from litestar.params import PathParameter
from sqlalchemy import Connection

from api import caching
from api.dependencies import (
    DatabaseDep,
    Limit,
    MarketPath,
    Offset,
    SnapshotFilesDep,
    error_responses,
)
from api.markets.lookup import require_market_id
from api.requests import identifiers, pages, query_rules
from zmart_pipelines.client_schemas.formats import iso8601, iso8601_or_none
from zmart_pipelines.store.queries import discussion_snapshots as snapshots


class DiscussionSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a discussion's snapshot: the comments that changed in its period.

    `part` of `parts`; each file names the one before it, across days too. `url` is where it can be
    read here. `pinned_at` is null until the pin store has accepted it. `period_from` is null for
    the market's first.
    """

    market_id: str
    day: str
    part: int
    parts: int
    cid: str
    url: str
    comments: int
    period_from: str | None
    period_to: str
    pinned_at: str | None


class DiscussionSnapshotList(msgspec.Struct, frozen=True):
    """A page of a market's snapshots, newest first. `count` is the page's."""

    snapshots: list[DiscussionSnapshot]
    count: int
    limit: int
    offset: int
    next: str | None


@get(
    "/api/markets/{market:str}/snapshots",
    tags=["discussions"],
    responses=error_responses(400, 404),
    response_headers=[pages.LINK],
    opt=query_rules.stated(pages.rule(snapshots.NEWEST)),
)
async def list_market_snapshots(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    market: MarketPath,
    limit: Limit = 50,
    offset: Offset = 0,
    cursor: pages.Cursor = None,
) -> Response[DiscussionSnapshotList]:
    """List the snapshots of a market's discussion, newest first."""
    key = identifiers.market_key(market, "market")
    page = pages.requested(snapshots.NEWEST, limit, offset, cursor)

    def read(conn: Connection) -> list[snapshots.Anchor]:
        market_id = require_market_id(conn, key)
        return snapshots.anchors_of_market(
            conn, market_id, after=page.after, limit=page.fetch, offset=page.offset
        )

    shown, following = page.cut(await database.read(read))
    rows = [_snapshot(row) for row in shown]
    body = DiscussionSnapshotList(rows, len(rows), page.limit, page.offset, following)
    return pages.response(request, body, following)


def _snapshot(row: snapshots.Anchor) -> DiscussionSnapshot:
    return DiscussionSnapshot(
        market_id=row.market_id.hex(),
        day=row.day.isoformat(),
        part=row.part,
        parts=row.parts,
        cid=row.cid,
        url=f"/api/discussions/ipfs/{row.cid}",
        comments=row.comments,
        period_from=iso8601_or_none(row.period_start),
        period_to=iso8601(row.period_end),
        pinned_at=iso8601_or_none(row.pinned_at),
    )


@get(
    "/api/discussions/ipfs/{cid:str}",
    cache_control=caching.IMMUTABLE,
    tags=["discussions"],
    responses=error_responses(400, 404),
    media_type="application/json",
)
async def get_snapshot_file(
    snapshot_files: SnapshotFilesDep,
    cid: Annotated[str, PathParameter(description="A CIDv0: Qm and 44 more characters.")],
) -> Response[bytes]:
    """Get a file of a snapshot by its CID, canonical JSON as it is pinned.

    What is not kept here any more is read from IPFS gateways. The bytes are those of the CID,
    wherever they come from.
    """
    data = await snapshot_files.read(identifiers.cid(cid))
    return Response(data, media_type="application/json", headers={"ETag": f'"{cid}"'})


HANDLERS = [list_market_snapshots, get_snapshot_file]
