"""A market's counts of votes: running while the vote is open, then as the program recorded them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Integer, Text, case, column, func, select

from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.store.tables import market, voting

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


def column_of(name: str) -> ColumnElement[int]:
    """Return the expression of a column of ``COLUMNS``, from ``market.markets``."""
    kind = next(kind for kind, names in COLUMNS.items() if name in names)
    counts = func.voting.counts(_markets.c.market_id, kind).table_valued(
        column("round", Integer),
        column("votes_for", BigInteger),
        column("votes_against", BigInteger),
        column("status", Text),
    )
    counted = counts.c.votes_for if COLUMNS[kind][0] == name else counts.c.votes_against
    running = select(counted).scalar_subquery()
    return case((_is_open(kind), running), else_=_markets.c[name])


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
            _tallies.c.kind == case(*((_is_open(kind), kind) for kind in COLUMNS)),
        )
        .order_by(_tallies.c.round.desc())
        .limit(1)
        .scalar_subquery()
    )
    return case((_markets.c.state.in_(OPEN_VOTES), latest))


def _is_open(kind: str) -> ColumnElement[bool]:
    return _markets.c.state == next(state for state, open_ in OPEN_VOTES.items() if open_ == kind)
