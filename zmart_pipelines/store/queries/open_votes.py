"""A market's counts of votes: running while the vote is open, then as the program recorded them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from sqlalchemy import BigInteger, ColumnElement, Integer, Select, Text, case, column, func, select

from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.store.tables import market, voting

SelectT = TypeVar("SelectT", bound=Select[Any])

_markets = market.markets
_tallies = voting.tallies

OPEN_VOTES: Final[Mapping[int, str]] = {
    MarketState.PROPOSED.value: "proposal",
    MarketState.DISPUTED.value: "dispute",
}
"""The kind of vote that is open in a state."""

COLUMNS: Final[Mapping[str, tuple[str, str]]] = {
    "proposal": ("proposal_likes", "proposal_dislikes"),
    "dispute": ("dispute_agree", "dispute_disagree"),
}
"""The columns of a market's row that count a kind of vote: for and against."""


def _is_open(kind: str) -> ColumnElement[bool]:
    return _markets.c.state == next(state for state, open_ in OPEN_VOTES.items() if open_ == kind)


_KIND: Final = case(*((_is_open(kind), kind) for kind in COLUMNS))

# The counts of the open vote, once for a market: joined, because starting a subquery for each
# column takes Postgres longer than all the rest of a market.
_RUNNING: Final = (
    func.voting.counts(_markets.c.market_id, _KIND)
    .table_valued(
        column("round", Integer),
        column("votes_for", BigInteger),
        column("votes_against", BigInteger),
        column("status", Text),
    )
    .lateral("running")
)


def with_counts(statement: SelectT) -> SelectT:
    """Return ``statement``, which is about ``market.markets``, with what ``column_of`` needs."""
    return statement.outerjoin(_RUNNING, _markets.c.state.in_(OPEN_VOTES))


def column_of(name: str) -> ColumnElement[int]:
    """Return the expression of a column of ``COLUMNS``, in a statement ``with_counts``."""
    kind = next(kind for kind, names in COLUMNS.items() if name in names)
    counted = _RUNNING.c.votes_for if COLUMNS[kind][0] == name else _RUNNING.c.votes_against
    return case((_is_open(kind), counted), else_=_markets.c[name])


def version() -> ColumnElement[Any]:
    """Return what differs whenever ``column_of`` may: who wrote the tally of the open vote.

    The votes on chain need no version of their own, because the ledger writes a market's row with
    each of its events.
    """
    latest = (
        select(column("xmin"))
        .select_from(_tallies)
        .where(
            _tallies.c.market_id == _markets.c.market_id,
            _tallies.c.kind == _KIND,
        )
        .order_by(_tallies.c.round.desc())
        .limit(1)
        .scalar_subquery()
    )
    return case((_markets.c.state.in_(OPEN_VOTES), latest))
