"""What overviews of many markets show: how many are in each state, and how their prices moved."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from litestar import get
from litestar.params import QueryParameter
from sqlalchemy import Connection

from api import caching
from api.dependencies import READ_ERRORS, DatabaseDep, error_responses
from api.requests import identifiers, query_rules
from api.requests.query_rules import Given
from zmart_pipelines.client_schemas import formats
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.store.queries import market_counts, markets, state_history, statistics

_MAX_MARKETS = 50
_POINTS = 40
_MOST_POINTS: Final = 200
_INTERVALS: Final = {"5m": 300, "1h": 3600, "1d": 86_400}


class StateCount(msgspec.Struct, frozen=True):
    """How many markets are in a state."""

    state: str
    state_code: int
    markets: int


class StateCounts(msgspec.Struct, frozen=True):
    """The number of markets, and of those in each state; states without any included."""

    total: int
    states: list[StateCount]
    as_of: str


class StateHistoryPoint(msgspec.Struct, frozen=True):
    """How many markets were in each state at a time, in the order of `states`."""

    at: str
    markets: list[int]


class StateHistory(msgspec.Struct, frozen=True):
    """The numbers of markets in each state over time, oldest first; the last point is `as_of`."""

    interval_seconds: int
    states: list[formats.StateName]
    points: list[StateHistoryPoint]
    as_of: str


class PriceLine(msgspec.Struct, frozen=True):
    """The prices of YES (9 decimals) after a market's last trades, oldest first; at most 40."""

    market_id: str
    price_yes: list[int]


class PriceLines(msgspec.Struct, frozen=True):
    """The lines of the markets that were asked for, in that order; unknown ones are left out."""

    lines: list[PriceLine]
    as_of: str


def _keys(given: Given) -> list[bytes]:
    return [identifiers.market_key(one, "market") for one in given.query.get("market", ())]


@get(
    "/api/markets/states",
    cache_control=caching.A_SECOND,
    tags=["markets"],
    responses=READ_ERRORS,
)
async def count_market_states(database: DatabaseDep) -> StateCounts:
    """Count the markets in each state."""

    def read(conn: Connection) -> StateCounts:
        counts = market_counts.market_counts_by_state(conn)
        return StateCounts(
            total=sum(counts.values()),
            states=[StateCount(one.name, int(one), counts.get(one, 0)) for one in MarketState],
            as_of=formats.as_of(markets.chain_now(conn)),
        )

    return await database.read(read)


@get(
    "/api/markets/states/history",
    cache_control=caching.A_SECOND,
    tags=["markets"],
    responses=error_responses(400),
)
async def list_state_history(
    database: DatabaseDep,
    interval: Annotated[
        Literal["5m", "1h", "1d"], QueryParameter(description="From a point to the next.")
    ] = "1h",
    points: Annotated[
        int, QueryParameter(ge=2, le=_MOST_POINTS, description="How many points.")
    ] = 48,
) -> StateHistory:
    """List how many markets were in each state over time, by the chain's clock."""
    step = _INTERVALS[interval]

    def read(conn: Connection) -> StateHistory:
        now = markets.chain_now(conn)
        first = now - step * (points - 1)
        series = state_history.state_history(conn, first=first, step=step, points=points)
        return StateHistory(
            interval_seconds=step,
            states=[formats.state_name(one.state) for one in series],
            points=[
                StateHistoryPoint(
                    formats.as_of(first + step * number), [one.markets[number] for one in series]
                )
                for number in range(points)
            ],
            as_of=formats.as_of(now),
        )

    return await database.read(read)


@get(
    "/api/markets/price-lines",
    cache_control=caching.A_SECOND,
    tags=["markets"],
    responses=error_responses(400),
    opt=query_rules.stated(_keys),
)
async def list_price_lines(
    database: DatabaseDep,
    market: Annotated[
        list[str],
        QueryParameter(
            min_items=1,
            max_items=_MAX_MARKETS,
            description="Ids of markets (64 hex digits); repeated.",
        ),
    ],
) -> PriceLines:
    """List the last prices of several markets, for small charts beside their names."""
    wanted = [identifiers.market_key(one, "market") for one in market]

    def read(conn: Connection) -> PriceLines:
        found = statistics.latest_prices(conn, wanted, limit=_POINTS)
        return PriceLines(
            lines=[PriceLine(one.hex(), found[one]) for one in wanted if one in found],
            as_of=formats.as_of(markets.chain_now(conn)),
        )

    return await database.read(read)


HANDLERS = [count_market_states, list_state_history, list_price_lines]
