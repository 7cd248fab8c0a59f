"""What a channel's frames have led to so far: the state that a new subscriber begins with.

It has the shape of REST. Read in one transaction with the channel's head it is the state as of that
position: the frames that follow lead on from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from api.markets.market_lists import load_first_page
from api.markets.market_threads import CommentList, load_threads
from api.markets.market_trades import TradeList, load_trades
from api.markets.vote_counts import MarketVoteCounts, load_vote_counts
from api.realtime.channels import ALERTS, MARKETS, OPERATOR_ALERTS, PRICES, Channel
from api.realtime.private_snapshots import load_alerts, load_wallet
from api.requests.pages import Page
from zmart_pipelines.client_schemas import markets as schemas
from zmart_pipelines.client_schemas.frames import PricesFrame, prices_frame
from zmart_pipelines.store.queries import configuration, discussions, markets, trades

# As many as REST returns where a request does not say how many.
_ROWS: Final = 50


class VoteThresholds(msgspec.Struct, frozen=True):
    """The shares of votes that decide, in basis points; null before the program is configured."""

    proposal_bps: int | None
    dispute_bps: int | None


class VotesSnapshot(MarketVoteCounts, frozen=True):
    """The counts of both kinds of vote, and what they have to reach."""

    thresholds: VoteThresholds


class MarketSnapshot(msgspec.Struct, frozen=True):
    """Everything of a market. `market` is null while it is not on chain."""

    market: schemas.Market | None
    trades: TradeList
    votes: VotesSnapshot
    discussion: CommentList


def _market(conn: Connection, market_id: bytes) -> schemas.Market | None:
    row = markets.get(conn, market_id)
    return None if row is None else schemas.market(row)


def _trades(conn: Connection, market_id: bytes) -> TradeList:
    return load_trades(conn, market_id, Page(trades.order(), _ROWS))


def _votes(conn: Connection, market_id: bytes) -> VotesSnapshot:
    counts = load_vote_counts(conn, market_id)
    configured = configuration.voting_configuration(conn)
    thresholds = (
        VoteThresholds(None, None)
        if configured is None
        else VoteThresholds(
            configured.proposal_approval_threshold, configured.dispute_success_threshold
        )
    )
    return VotesSnapshot(counts.market_id, counts.proposal_votes, counts.dispute_votes, thresholds)


def _discussion(conn: Connection, market_id: bytes) -> CommentList:
    return load_threads(conn, market_id, Page(discussions.NEWEST, _ROWS))


def _prices(conn: Connection, market_id: bytes) -> PricesFrame | None:
    row = markets.get(conn, market_id)
    return None if row is None else prices_frame(schemas.projected_market(row))


def _everything(conn: Connection, market_id: bytes) -> MarketSnapshot:
    return MarketSnapshot(
        market=_market(conn, market_id),
        trades=_trades(conn, market_id),
        votes=_votes(conn, market_id),
        discussion=_discussion(conn, market_id),
    )


_OF_MARKET: Final[Mapping[str | None, Callable[[Connection, bytes], Any]]] = MappingProxyType(
    {
        None: _everything,
        "state": _market,
        "trades": _trades,
        "votes": _votes,
        "discussion": _discussion,
        PRICES: _prices,
    }
)


def load_snapshot(conn: Connection, channel: Channel) -> msgspec.Raw | None:
    """Return the state of a channel as JSON; None where it has none to begin with."""
    if channel.market_id is not None:
        state = _OF_MARKET[channel.part](conn, channel.market_id)
    elif channel == MARKETS:
        state = load_first_page(conn)
    elif channel.wallet is not None:
        state = load_wallet(conn, channel.wallet)
    elif channel in (ALERTS, OPERATOR_ALERTS):
        state = load_alerts(conn, for_operators=channel == OPERATOR_ALERTS)
    else:
        return None
    return msgspec.Raw(msgspec.json.encode(state))
