"""Pages of markets for readers that keep the rows they have read before.

A page is asked in one statement, and so in one snapshot: which markets, and in which version each
is. The version is equal only where the whole row is: it names the transactions that wrote what the
row is made of (``xmin`` of the market, of its matched draft and of the tally of its open vote). One
transaction leaves one version of a row, and its number comes again after four thousand million
others at the earliest.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    any_,
    bindparam,
    func,
    literal_column,
    select,
    true,
)

from zmart_pipelines.store.prepared_statements import PreparedStatement
from zmart_pipelines.store.queries import market_search, markets, open_votes
from zmart_pipelines.store.tables import community, market
from zmart_pipelines.store.tables.base import BYTES

_markets = market.markets
_drafts = community.market_drafts


def _xmin(table: str) -> ColumnElement[int]:
    return literal_column(f"{table}.xmin")


_VERSION: Final = (
    _xmin(_markets.fullname).label("version_market"),
    _xmin(_drafts.fullname).label("version_draft"),
    open_votes.version().label("version_tally"),
)


class MarketPage:
    """The statements of pages that differ only in the values of their parameters.

    Their rows are ``count``, ``place``, the keys, the version and, in ``rows``, the market. There
    is one row at least; its ``place`` is null where the page has no market.

    Attributes:
        versions: Asks which markets are on the page.
        rows: Asks the same, and for the markets.
        plan_by_values: How they are best answered depends on the values of their parameters, as in
            a search for a word that is rare or common. They are planned each time, which costs more
            than most of the others take.
    """

    __slots__ = ("_keys", "_version", "plan_by_values", "rows", "versions")

    def __init__(
        self,
        keys: Select[Any],
        count: Select[Any] | None = None,
        *,
        plan_by_values: bool = False,
    ) -> None:
        """Prepare the statements.

        Args:
            keys: The markets of the page in order: ``market_id``, then any further columns; from
                ``markets.MARKETS``, joined with more or not.
            count: One number that belongs to the page; without it ``count`` is null.
            plan_by_values: See the attribute.
        """
        self.plan_by_values = plan_by_values
        known = keys.add_columns(*_VERSION)
        self.versions = PreparedStatement(_numbered(known, count))
        whole = open_votes.with_counts(known).add_columns(*markets.columns("row_"))
        self.rows = PreparedStatement(_numbered(whole, count))
        end = 2 + len(keys.selected_columns)
        self._keys = slice(2, end)
        self._version = slice(end, end + len(_VERSION))

    def key_of(self, row: Sequence[Any]) -> tuple[Any, ...]:
        """Return the columns of ``keys`` in a row of either statement."""
        key: tuple[Any, ...] = row[self._keys]  # type: ignore[assignment]  # of asyncpg's Record
        return key

    def version_of(self, row: Sequence[Any]) -> tuple[Any, ...]:
        """Return the version of the market in a row of either statement."""
        version: tuple[Any, ...] = row[self._version]  # type: ignore[assignment]  # likewise
        return version

    def market_of(self, row: Sequence[Any]) -> markets.Market:
        """Return the market in a row of ``rows``."""
        values: list[Any] = [
            int(value) if isinstance(value, Decimal) else value
            for value in row[self._version.stop :]
        ]
        return markets.Market(*values)


def _numbered(keys: Select[Any], count: Select[Any] | None) -> Select[Any]:
    """Return the statement of a page with its count."""
    page = keys.subquery("page")
    numbered = select(func.row_number().over().label("place"), page).subquery("numbered")
    total = (
        select(literal_column("NULL::bigint").label("total")) if count is None else count
    ).subquery("total")
    (number,) = total.c
    return (
        select(number.label("count"), numbered)
        .select_from(total.outerjoin(numbered, true()))
        .order_by(numbered.c.place)
    )


# Filters under which the list by age has one good plan.
_PLANNED_ONCE: Final = frozenset({"state", "category", "creator"})
# A search by these alone reads as much as it needs by itself: the planner knows nothing of texts.
_TEXT: Final = frozenset({"text", "key", "id_from", "id_to"})


def _has_one_plan(shape: market_search.Shape) -> bool:
    if shape.sort == "relevance":
        return shape.filters <= _TEXT
    return shape.sort == "newest" and shape.filters <= _PLANNED_ONCE


@lru_cache(maxsize=1024)
def list_page(shape: market_search.Shape) -> MarketPage:
    """Return the pages of the list of this shape; their keys are those of ``market_search.keys``.

    ``count`` is at most ``market_search.COUNT_CAP`` + 1 where it is not counted to the end.
    """
    return MarketPage(
        market_search.keys(shape),
        market_search.total(shape.filters),
        plan_by_values=not _has_one_plan(shape),
    )


def _any_of(column: ColumnElement[bytes], parameter: str) -> MarketPage:
    keys = select(_markets.c.market_id, _markets.c.address).select_from(markets.MARKETS)
    return MarketPage(keys.where(column == any_(bindparam(parameter, type_=ARRAY(BYTES)))))


# The markets whose ids are in the parameter ``ids``, in no order.
BY_IDS: Final = _any_of(_markets.c.market_id, "ids")
# The markets whose addresses are in the parameter ``addresses``, in no order.
BY_ADDRESSES: Final = _any_of(_markets.c.address, "addresses")
