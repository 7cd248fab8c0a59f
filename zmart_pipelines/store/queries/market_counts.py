"""How many markets there are by state and category, from the counts that triggers keep."""

from __future__ import annotations

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Connection, Select, cast, func, select

from zmart_pipelines.store.queries.markets import MARKETS
from zmart_pipelines.store.tables import community, market

_counts = market.market_counts


def total(*where: ColumnElement[bool]) -> Select[int]:
    """Return the statement of the number of markets.

    Args:
        where: Conditions on state and category, columns of ``market.market_counts``; the category
            is empty for markets without a matched draft.
    """
    return select(cast(func.coalesce(func.sum(_counts.c.markets), 0), BigInteger)).where(*where)


def market_counts_by_state(conn: Connection) -> dict[int, int]:
    """Return how many markets are in each state; states that no market had are absent."""
    statement = select(_counts.c.state, func.sum(_counts.c.markets)).group_by(_counts.c.state)
    return {row[0]: int(row[1]) for row in conn.execute(statement)}


class WrongCount(msgspec.Struct, frozen=True):
    """A state and category whose count is not the number of its markets."""

    state: int
    category: str
    counted: int
    markets: int


def differences(conn: Connection) -> list[WrongCount]:
    """Return where the counts are not the numbers of markets; empty if they are right."""
    cell = (_counts.c.state, _counts.c.category)
    kept = select(*cell, func.sum(_counts.c.markets)).group_by(*cell)
    state = market.markets.c.state
    category = func.coalesce(community.market_drafts.c.category, "")
    truth = select(state, category, func.count()).select_from(MARKETS).group_by(state, category)
    # One statement, and so one snapshot of both.
    counts, numbers = kept.subquery("kept"), truth.subquery("truth")
    (kept_state, kept_category, counted), (true_state, true_category, found) = counts.c, numbers.c
    rows = conn.execute(
        select(
            func.coalesce(kept_state, true_state).label("state"),
            func.coalesce(kept_category, true_category).label("category"),
            func.coalesce(counted, 0),
            func.coalesce(found, 0),
        )
        .select_from(
            counts.join(
                numbers,
                (kept_state == true_state) & (kept_category == true_category),
                full=True,
            )
        )
        .where(func.coalesce(counted, 0) != func.coalesce(found, 0))
        .order_by("state", "category")
    )
    return [WrongCount(row[0], row[1], int(row[2]), int(row[3])) for row in rows]


def recount(conn: Connection) -> None:
    """Set every count to the number of its markets; writers of markets wait meanwhile."""
    conn.execute(select(func.market.recount_markets()))
