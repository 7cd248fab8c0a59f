"""The channels that clients subscribe to, and the paths on which a socket begins with one."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from api.markets.market_lists import MarketList
from api.markets.market_threads import CommentList
from api.markets.market_trades import TradeList
from api.realtime.private_snapshots import (
    AlertsSnapshot,
    OperatorAlertsSnapshot,
    WalletSnapshot,
)
from api.realtime.snapshots import MarketSnapshot, VotesSnapshot
from api.realtime.system_state import SystemState
from zmart_pipelines.client_schemas.frames import PricesFrame
from zmart_pipelines.client_schemas.markets import Market


class Channel(NamedTuple):
    """A channel that clients subscribe to.

    Attributes:
        key: Its name in the document.
        address: The value of ``channel``, with its parameter in braces.
        title: Its name for people.
        description: What it carries.
        messages: Names of the frames that are sent on it.
        snapshots: What a new subscription begins with: one of these.
        path: On which a socket is subscribed to it from the beginning.
        is_private: Whether the socket must act for the wallet in the address.
    """

    key: str
    address: str
    title: str
    description: str
    messages: tuple[str, ...]
    snapshots: tuple[Any, ...]
    path: str | None = None
    is_private: bool = False


CHANNELS: Final = (
    Channel(
        "market",
        "market:{market_id}",
        "Everything of a market",
        "State, trades, votes and discussion of a market. It may be named by its id alone.",
        ("marketState", "trade", "vote", "comment"),
        (MarketSnapshot,),
        "/markets/{market_id}",
    ),
    Channel(
        "marketStates",
        "market:{market_id}:state",
        "State of a market",
        "The market itself, whenever an event has changed it.",
        ("marketState",),
        (Market, None),
    ),
    Channel(
        "marketTrades",
        "market:{market_id}:trades",
        "Trades of a market",
        "Every trade. Those that no longer count are named by `correction` in the market's state.",
        ("trade",),
        (TradeList,),
    ),
    Channel(
        "marketVotes",
        "market:{market_id}:votes",
        "Votes of a market",
        "Every vote on the proposal or the dispute, with the running counts.",
        ("vote",),
        (VotesSnapshot,),
        "/markets/{market_id}/voting",
    ),
    Channel(
        "marketDiscussion",
        "market:{market_id}:discussion",
        "Discussion of a market",
        "Every comment that is written, edited, deleted, hidden or voted on.",
        ("comment",),
        (CommentList,),
    ),
    Channel(
        "marketPrices",
        "market:{market_id}:prices",
        "Prices of a market",
        "Conflated: each frame holds the whole state, at most ten are sent in a second"
        " (`WS_PRICES_PER_SECOND`), and the last one wins.",
        ("prices",),
        (PricesFrame, None),
    ),
    Channel(
        "markets",
        "markets",
        "All markets",
        "The state of every market, whenever an event has changed it.",
        ("marketState",),
        (MarketList,),
    ),
    Channel(
        "wallet",
        "wallet:{address}",
        "What belongs to a wallet",
        "Positions, own trades, claims and transactions of the wallet. Private: a ticket of the"
        " wallet must have signed the socket in.",
        ("position", "trade", "claim", "transaction"),
        (WalletSnapshot,),
        "/users/{address}/positions",
        is_private=True,
    ),
    Channel(
        "alerts",
        "alerts",
        "Alerts",
        "Alerts as they are raised, change and are cleared. A socket that a ticket of an operator"
        " has signed in receives them with their texts.",
        ("alert", "operatorAlert"),
        (AlertsSnapshot, OperatorAlertsSnapshot),
        "/alerts",
    ),
    Channel(
        "system",
        "system",
        "State of the system",
        "Conflated: how far the ledger is behind the chain, circuit breakers and kill switches;"
        " when they change, at most once a second.",
        ("system",),
        (SystemState,),
    ),
)

PARAMETERS: Final = {
    "market_id": {
        "description": "The market's id, 64 hexadecimal digits; commands also take the address of"
        " its account. Frames have the id.",
        "examples": ["1010101010101010101010101010101010101010101010101010101010101010"],
    },
    "address": {
        "description": "The wallet's public key in base58.",
        "examples": ["9xQeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin"],
    },
}
