"""What a wallet's positions were worth over time, and what they brought."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from litestar import get
from litestar.di import NamedDependency, Provide
from litestar.params import QueryParameter, SkipValidation
from sqlalchemy import Connection

from api.dependencies import NAMED_READ_ERRORS, DatabaseDep, WalletPath
from api.requests import identifiers, moments, query_rules
from zmart_pipelines.client_schemas import formats
from zmart_pipelines.statistics import wallet_reads
from zmart_pipelines.statistics.wallet_history import Parts
from zmart_pipelines.store.queries.markets import chain_now

Interval: TypeAlias = Literal["1h", "1d"]

MAX_POINTS: Final = 1_000
_SECONDS: Final = {"1h": 3_600, "1d": 86_400}


class PnlPoint(formats.ExactIntegers, frozen=True, kw_only=True):
    """A wallet's result before a time, and its parts, in lamports.

    `pnl = realised_pnl + unrealised_pnl = proceeds + claimed + open_value - invested` and
    `unrealised_pnl = open_value - open_cost`, exactly.
    """

    timestamp: str | None
    invested: formats.LargeInt
    proceeds: formats.LargeInt
    claimed: formats.LargeInt
    open_value: formats.LargeInt
    open_cost: formats.LargeInt
    realised_pnl: formats.LargeInt
    unrealised_pnl: formats.LargeInt
    pnl: formats.LargeInt


class PnlHistory(msgspec.Struct, frozen=True):
    """A wallet's results over time, oldest first; the last point is that of `as_of`."""

    wallet: str
    interval: Interval
    points: list[PnlPoint]
    count: int
    as_of: str


class ValuePoint(formats.ExactIntegers, frozen=True, kw_only=True):
    """What a wallet held before a time, in lamports.

    `value` is what its open `positions` were worth, `paid_in` all that it had paid in and
    `paid_out` all that sales and claims had paid it.
    """

    timestamp: str | None
    value: formats.LargeInt
    paid_in: formats.LargeInt
    paid_out: formats.LargeInt
    positions: int


class PortfolioHistory(msgspec.Struct, frozen=True):
    """The value of a wallet's positions over time, oldest first; the last point is of `as_of`."""

    wallet: str
    interval: Interval
    points: list[ValuePoint]
    count: int
    as_of: str


class HistoryQuery(msgspec.Struct, frozen=True):
    """Which points a request asks for; times in chain seconds."""

    interval: Interval
    begins: int | None
    ends: int | None
    limit: int


HistoryQueryDep: TypeAlias = NamedDependency[SkipValidation[HistoryQuery]]


def history_query(
    interval: Annotated[Interval, QueryParameter(description="Time between two points.")] = "1d",
    from_: Annotated[
        str | None,
        QueryParameter(
            name="from",
            description="Unix seconds or ISO 8601: the first point is not before it; default: the"
            " wallet's first trade.",
        ),
    ] = None,
    to: Annotated[
        str | None,
        QueryParameter(
            description="Unix seconds or ISO 8601: the last point is not after it; default: now."
        ),
    ] = None,
    limit: Annotated[
        int,
        QueryParameter(ge=1, le=MAX_POINTS, description="Maximum number of points, the last ones."),
    ] = 366,
) -> HistoryQuery:
    """Read the parameters that both histories have.

    Raises:
        ApiError: 400 for invalid ones.
    """
    return HistoryQuery(
        interval,
        None if from_ is None else moments.unix_seconds(from_, "from"),
        None if to is None else moments.unix_seconds(to, "to"),
        limit,
    )


QUERY = {"asked": Provide(history_query, sync_to_thread=False)}


def _read(conn: Connection, key: bytes, query: HistoryQuery) -> tuple[list[tuple[int, Parts]], int]:
    now = chain_now(conn)
    found = wallet_reads.history_of(
        conn,
        key,
        seconds=_SECONDS[query.interval],
        begins=query.begins,
        ends=query.ends,
        now=now,
        limit=query.limit,
    )
    return found, now


@get(
    "/api/users/{wallet:str}/pnl",
    tags=["wallets"],
    responses=NAMED_READ_ERRORS,
    dependencies=QUERY,
    opt=query_rules.stated(*moments.RANGE),
)
async def get_user_pnl(
    database: DatabaseDep, wallet: WalletPath, asked: HistoryQueryDep
) -> PnlHistory:
    """Get a wallet's realised and unrealised profit over time, with the parts that add up to it.

    Points lie at multiples of the interval and count what happened before them, at the pools and
    prices of then; without `to` the last one is now.
    """
    key = identifiers.wallet(wallet)
    found, now = await database.read(lambda conn: _read(conn, key, asked))
    points = [
        PnlPoint(
            timestamp=formats.chain_time(moment),
            invested=parts.invested,
            proceeds=parts.proceeds,
            claimed=parts.claimed,
            open_value=parts.open_value,
            open_cost=parts.open_cost,
            realised_pnl=parts.realised_pnl,
            unrealised_pnl=parts.unrealised_pnl,
            pnl=parts.pnl,
        )
        for moment, parts in found
    ]
    return PnlHistory(wallet, asked.interval, points, len(points), formats.as_of(now))


@get(
    "/api/users/{wallet:str}/portfolio",
    tags=["wallets"],
    responses=NAMED_READ_ERRORS,
    dependencies=QUERY,
    opt=query_rules.stated(*moments.RANGE),
)
async def get_user_portfolio(
    database: DatabaseDep, wallet: WalletPath, asked: HistoryQueryDep
) -> PortfolioHistory:
    """Get the value of a wallet's positions over time, by the pools and prices of then.

    Points lie at multiples of the interval and count what happened before them; without `to` the
    last one is now.
    """
    key = identifiers.wallet(wallet)
    found, now = await database.read(lambda conn: _read(conn, key, asked))
    points = [
        ValuePoint(
            timestamp=formats.chain_time(moment),
            value=parts.open_value,
            paid_in=parts.invested,
            paid_out=parts.proceeds + parts.claimed,
            positions=parts.positions,
        )
        for moment, parts in found
    ]
    return PortfolioHistory(wallet, asked.interval, points, len(points), formats.as_of(now))


HANDLERS: list[Any] = [get_user_pnl, get_user_portfolio]
