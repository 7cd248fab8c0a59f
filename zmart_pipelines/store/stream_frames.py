"""The frames of the live stream. Pure.

A payload is the ``data`` of a WebSocket message and serves two kinds of clients at once:
those that read flat names (``priceYes``, ``tradeId``, ``trader``, outcome as "YES"/"NO") and
those that read the rows' own names, nested. Amounts are integers; what may pass 2^53 stands
once more as text under ``exact``. Keys and signatures are base58, a market's ``id`` is hex.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Literal
from uuid import UUID

from solders.pubkey import Pubkey
from solders.signature import Signature

from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.program.lmsr import PRECISION
from zmart_pipelines.store.stream import MARKETS_CHANNEL, Frame, market_channel

_EXACT: Final = ("shares_yes", "shares_no", "b_parameter", "current_liquidity", "total_volume")


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


# Seconds and wallets recur, within a batch above all.
@lru_cache(maxsize=4096)
def _chain_time(seconds: int | None) -> str | None:
    """Chain seconds as ISO 8601; None for "not yet" and for what no calendar holds."""
    if not seconds or not 0 < seconds < 253_402_300_800:
        return None
    return _iso(datetime.fromtimestamp(seconds, UTC))


@lru_cache(maxsize=65_536)
def _key(key: bytes | None) -> str | None:
    return None if key is None else str(Pubkey(key))


def trade(row: Mapping[str, Any], *, commitment: str) -> Frame:
    """A trade, for its market's channel.

    :param row: the columns of ``market.trades``.
    """
    market_id: bytes = row["market_id"]
    user = _key(row["user"])
    signature = str(Signature(row["signature"]))
    identity = f"{signature}:{row['log_index']}"
    moment = _chain_time(row["traded_at"])
    side, outcome, shares, cost = row["trade_type"], row["outcome"], row["shares"], row["cost"]
    price: int = row["price_yes"]
    return Frame(
        market_channel(market_id),
        "trade",
        {
            "id": identity,
            "tradeId": identity,
            "market_id": market_id.hex(),
            "trader": user,
            "user": user,
            "user_wallet": user,
            "side": side,
            "trade_type": side,
            "outcome": "YES" if outcome else "NO",
            "shares": shares,
            "cost": cost,
            "price": price,
            "priceYes": price / PRECISION,
            "priceNo": (PRECISION - price) / PRECISION,
            "created_at": moment,
            "timestamp": moment,
            "slot": row["slot"],
            "commitment": commitment,
            "exact": {"shares": str(shares), "cost": str(cost)},
            "trade": {
                "trade_type": side,
                "outcome": outcome,
                "shares": shares,
                "cost": cost,
                "user_wallet": user,
                "created_at": moment,
                "tx_signature": signature,
            },
        },
    )


def vote(
    *,
    market_id: bytes,
    kind: str,
    wallet: bytes,
    choice: bool,
    voted_at: datetime,
    votes_for: int,
    votes_against: int,
    source: Literal["wallet", "chain"] = "wallet",
) -> Frame:
    """A vote, with the running counts of its kind, for its market's channel."""
    user = _key(wallet)
    return Frame(
        market_channel(market_id),
        "vote",
        {
            "market_id": market_id.hex(),
            "kind": kind,
            "vote_type": kind,
            "choice": choice,
            "vote": choice,
            "user": user,
            "user_wallet": user,
            "source": source,
            "created_at": _iso(voted_at),
            "voted_at": _iso(voted_at),
            "votes_for": votes_for,
            "votes_against": votes_against,
            "total": votes_for + votes_against,
        },
    )


def market_state(
    row: Mapping[str, Any],
    *,
    action: Literal["created", "updated", "deleted"],
    old_state: int | None = None,
    orphaned: Sequence[bytes] = (),
) -> list[Frame]:
    """A market's figures now, for its own channel and for that of all markets.

    :param row: the columns of ``market.markets`` (``commitment`` included).
    :param old_state: the state before, when it is another one now.
    :param orphaned: signatures of transactions that no longer count: what was told about
        them before is void.
    """
    market_id: bytes = row["market_id"]
    price: int = row["price_yes"]
    state = MarketState(row["state"]).name
    changed = old_state is not None and old_state != row["state"]
    payload: dict[str, Any] = {
        "action": action,
        "market_id": market_id.hex(),
        "old_state": MarketState(old_state).name if changed and old_state is not None else None,
        "new_state": state if changed or action == "created" else None,
        "state": state,
        "priceYes": price / PRECISION,
        "priceNo": (PRECISION - price) / PRECISION,
        "totalShares": row["shares_yes"] + row["shares_no"],
        "commitment": row["commitment"],
        "market": {
            "id": market_id.hex(),
            "on_chain_address": _key(row["address"]),
            "state": state,
            "status": state,
            "state_code": row["state"],
            "creator_wallet": _key(row["creator"]),
            "resolver_wallet": _key(row["resolver"]),
            "b_parameter": row["b_parameter"],
            "current_liquidity": row["current_liquidity"],
            "shares_yes": row["shares_yes"],
            "shares_no": row["shares_no"],
            "total_volume": row["total_volume"],
            "trades_count": row["trades_count"],
            "price_yes": price,
            "price_no": PRECISION - price,
            "proposal_likes": row["proposal_likes"],
            "proposal_dislikes": row["proposal_dislikes"],
            "dispute_agree": row["dispute_agree"],
            "dispute_disagree": row["dispute_disagree"],
            "proposed_outcome": row["proposed_outcome"],
            "final_outcome": row["final_outcome"],
            "was_disputed": row["was_disputed"],
            "created_at": _chain_time(row["created_at"]),
            "activated_at": _chain_time(row["activated_at"]),
            "resolution_proposed_at": _chain_time(row["resolution_proposed_at"]),
            "finalized_at": _chain_time(row["finalized_at"]),
            "commitment": row["commitment"],
            "as_of_slot": row["as_of_slot"],
            "exact": {name: str(row[name]) for name in _EXACT},
        },
    }
    if orphaned:
        payload["correction"] = {"orphaned": [str(Signature(one)) for one in orphaned]}
    return [
        Frame(channel, "market_state", payload)
        for channel in (market_channel(market_id), MARKETS_CHANNEL)
    ]


def discussion(
    *,
    action: Literal["created", "deleted"],
    discussion_id: UUID,
    market_id: bytes,
    wallet: bytes,
    content: str,
    created_at: datetime,
) -> Frame:
    """A comment written or deleted, for its market's channel. A deleted one has no text."""
    author = _key(wallet)
    text = content if action == "created" else ""
    return Frame(
        market_channel(market_id),
        "discussion",
        {
            "action": action,
            "market_id": market_id.hex(),
            "id": str(discussion_id),
            "postId": str(discussion_id),
            "parentId": None,
            "author": author,
            "user": author,
            "content": text,
            "text": text,
            "created_at": _iso(created_at),
            "discussion": {
                "id": str(discussion_id),
                "market_id": market_id.hex(),
                "user_wallet": author,
                "content": text,
                "created_at": _iso(created_at),
            },
        },
    )
