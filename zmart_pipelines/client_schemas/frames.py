"""The frames of the live stream: the ``data`` of each kind of WebSocket message.

A frame holds the row as REST returns it. Beside it stand flat names that older clients
read (``priceYes``, ``tradeId``, ``postId``, …) with the same values.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from zmart_pipelines.client_schemas.alerts import Alert, OperatorAlert, alert, operator_alert
from zmart_pipelines.client_schemas.claims import Claim
from zmart_pipelines.client_schemas.community import Comment, comment
from zmart_pipelines.client_schemas.formats import (
    PRICE_SCALE,
    ExactIntegers,
    LargeInt,
    StateName,
    base58_key,
    base58_signature,
    price_fraction,
    state_name,
)
from zmart_pipelines.client_schemas.markets import ProjectedMarket, projected_market
from zmart_pipelines.client_schemas.positions import Position
from zmart_pipelines.client_schemas.relayed_transactions import (
    RelayedTransaction,
    relayed_transaction,
)
from zmart_pipelines.client_schemas.trading import Trade, trade_fields
from zmart_pipelines.client_schemas.voting import VoteIdentity, vote_identity_fields
from zmart_pipelines.store.queries import (
    alerts,
    discussions,
    markets,
    relayed_transactions,
    trades,
)
from zmart_pipelines.store.stream import (
    ALERTS_CHANNEL,
    MARKETS_CHANNEL,
    OPERATOR_ALERTS_CHANNEL,
    Frame,
    market_channel,
    wallet_channel,
)


class TradeFrame(Trade, frozen=True, kw_only=True):
    """`data` of a `trade` message: the trade, and older names of its fields.

    `side` is `trade_type`, `price` is `price_yes`; `priceYes` and `priceNo` are for display.
    """

    trade_id: str = msgspec.field(name="tradeId")
    trader: str
    side: str
    price: int
    display_price_yes: float = msgspec.field(name="priceYes")
    display_price_no: float = msgspec.field(name="priceNo")


class VoteFrame(VoteIdentity, frozen=True, kw_only=True):
    """`data` of a `vote` message: the vote, and the weighted counts of its kind with it.

    `kind` and `user` are older names of `vote_type` and `user_wallet`.
    """

    kind: str
    user: str
    votes_for: LargeInt
    votes_against: LargeInt
    total: LargeInt


class Correction(msgspec.Struct, frozen=True):
    """Signatures of transactions that were orphaned: earlier frames about them are void."""

    orphaned: list[str]


class MarketStateFrame(ExactIntegers, frozen=True, kw_only=True):
    """`data` of a `market_state` message: the market as it is now.

    `old_state` and `new_state` are set where the state changed. `priceYes`, `priceNo` and
    `totalShares` are for display.
    """

    action: Literal["created", "updated", "deleted"]
    market_id: str
    old_state: StateName | None
    new_state: StateName | None
    state: StateName
    display_price_yes: float = msgspec.field(name="priceYes")
    display_price_no: float = msgspec.field(name="priceNo")
    total_shares: LargeInt = msgspec.field(name="totalShares")
    commitment: str
    market: ProjectedMarket
    correction: Correction | UnsetType = UNSET


CommentAction: TypeAlias = Literal["created", "edited", "deleted", "hidden", "unhidden", "voted"]


class CommentFrame(Comment, frozen=True, kw_only=True):
    """`data` of a `discussion` message: the comment as it is now, flat and nested.

    `voted` says that `up_votes` changed. `postId`, `parentId`, `author` and `text` are older names.
    """

    action: CommentAction
    post_id: str = msgspec.field(name="postId")
    thread_id: str | None = msgspec.field(name="parentId")
    author: str
    text: str
    discussion: Comment


class PricesFrame(ExactIntegers, frozen=True, kw_only=True):
    """`data` of a `prices` message: all that determines the prices of a market, as they are now.

    `q_yes` and `q_no` are the shares outstanding, `b` is the liquidity parameter of the LMSR;
    shares, `b` and prices have 9 decimals. `slot` is that of the last event.
    """

    market_id: str
    q_yes: LargeInt
    q_no: LargeInt
    b: LargeInt
    price_yes: int
    price_no: int
    slot: int


class PositionFrame(msgspec.Struct, frozen=True, kw_only=True):
    """`data` of a `position` message: the wallet's position in the market as it is now.

    `position` is null where the transactions that made it no longer count.
    """

    action: Literal["updated", "deleted"]
    market_id: str
    position: Position | None
    correction: Correction | UnsetType = UNSET


AlertAction: TypeAlias = Literal["raised", "changed", "cleared"]


class AlertFrame(Alert, frozen=True, kw_only=True):
    """`data` of an `alert` message; `changed` says that its severity did."""

    action: AlertAction


class OperatorAlertFrame(OperatorAlert, frozen=True, kw_only=True):
    """`data` of an `alert` message to an operator."""

    action: AlertAction


FRAME_SCHEMAS = (
    TradeFrame,
    VoteFrame,
    MarketStateFrame,
    CommentFrame,
    PricesFrame,
    PositionFrame,
    Claim,
    RelayedTransaction,
    AlertFrame,
    OperatorAlertFrame,
)


def trade_frames(row: trades.Trade) -> list[Frame]:
    """Return a trade's frames for its market's channel and for its wallet's."""
    fields = trade_fields(row)
    data = TradeFrame(
        **fields,
        trade_id=fields["id"],
        trader=fields["user"],
        side=fields["trade_type"],
        price=row.price_yes,
        display_price_yes=price_fraction(row.price_yes),
        display_price_no=price_fraction(PRICE_SCALE - row.price_yes),
    )
    channels = (market_channel(row.market_id), wallet_channel(row.user))
    return [Frame(channel, "trade", data) for channel in channels]


def position_frame(
    market_id: bytes, wallet: bytes, row: Position | None, orphaned: Collection[bytes]
) -> Frame:
    """Return a position's frame for its wallet's channel.

    Args:
        market_id: The position's market.
        wallet: Its wallet.
        row: The position as it is now; None where it no longer exists.
        orphaned: Signatures of the market's transactions that no longer count.
    """
    data = PositionFrame(
        action="deleted" if row is None else "updated",
        market_id=market_id.hex(),
        position=row,
        correction=_correction(orphaned),
    )
    return Frame(wallet_channel(wallet), "position", data)


def claim_frame(wallet: bytes, row: Claim) -> Frame:
    """Return a claim's frame for its wallet's channel."""
    return Frame(wallet_channel(wallet), "claim", row)


def transaction_frame(row: relayed_transactions.RelayedTransaction) -> Frame:
    """Return a relayed transaction's frame for the channel of the wallet that pays for it."""
    return Frame(wallet_channel(row.fee_payer), "transaction", relayed_transaction(row))


def alert_frames(row: alerts.FullAlert, action: AlertAction) -> list[Frame]:
    """Return an alert's frames for everyone and for operators."""
    shown = msgspec.structs.asdict(alert(row))
    fields = msgspec.structs.asdict(operator_alert(row))
    return [
        Frame(ALERTS_CHANNEL, "alert", AlertFrame(**shown, action=action)),
        Frame(OPERATOR_ALERTS_CHANNEL, "alert", OperatorAlertFrame(**fields, action=action)),
    ]


def vote_frame(
    *,
    market_id: bytes,
    kind: str,
    round_: int,
    wallet: bytes,
    choice: bool,
    signature: bytes,
    voted_at: datetime,
    votes_for: int,
    votes_against: int,
    source: Literal["wallet", "chain"],
) -> Frame:
    """Return a vote's frame, with the running counts of its kind, for its market's channel."""
    data = VoteFrame(
        **vote_identity_fields(
            market_id=market_id,
            kind=kind,
            round_=round_,
            wallet=wallet,
            choice=choice,
            source=source,
            signature=signature,
            voted_at=voted_at,
        ),
        kind=kind,
        user=base58_key(wallet),
        votes_for=votes_for,
        votes_against=votes_against,
        total=votes_for + votes_against,
    )
    return Frame(market_channel(market_id), "vote", data)


class DisplayedPrices(ExactIntegers, frozen=True, kw_only=True):
    """A market's current prices, by the names of ``MarketStateFrame``."""

    display_price_yes: float = msgspec.field(name="priceYes")
    display_price_no: float = msgspec.field(name="priceNo")
    total_shares: LargeInt = msgspec.field(name="totalShares")


def displayed_prices(row: markets.Market) -> DisplayedPrices:
    """Return a market's current prices."""
    return DisplayedPrices(
        display_price_yes=price_fraction(row.price_yes),
        display_price_no=price_fraction(PRICE_SCALE - row.price_yes),
        total_shares=row.shares_yes + row.shares_no,
    )


def prices_frame(market: ProjectedMarket) -> PricesFrame:
    """Return what determines the prices of ``market``."""
    return PricesFrame(
        market_id=market.id,
        q_yes=market.shares_yes,
        q_no=market.shares_no,
        b=market.b_parameter,
        price_yes=market.price_yes,
        price_no=market.price_no,
        slot=market.as_of_slot,
    )


def market_state_frames(
    row: markets.ProjectedMarket,
    *,
    action: Literal["created", "updated", "deleted"],
    old_state: int | None = None,
    orphaned: Collection[bytes] = (),
) -> list[Frame]:
    """Return a market's frames for its own channel and for the channel of all markets.

    Args:
        row: The market as it is now.
        action: What happened to the projection.
        old_state: The program's number of the state before; None where there was none.
        orphaned: Signatures of transactions that no longer count.
    """
    market = projected_market(row)
    changed = old_state is not None and old_state != row.state
    data = MarketStateFrame(
        action=action,
        market_id=market.id,
        old_state=state_name(old_state) if changed and old_state is not None else None,
        new_state=market.state if changed or action == "created" else None,
        state=market.state,
        display_price_yes=market.current_price_yes,
        display_price_no=market.current_price_no,
        total_shares=row.shares_yes + row.shares_no,
        commitment=row.commitment,
        market=market,
        correction=_correction(orphaned),
    )
    channels = (market_channel(row.market_id), MARKETS_CHANNEL)
    return [Frame(channel, "market_state", data) for channel in channels]


def _correction(orphaned: Collection[bytes]) -> Correction | UnsetType:
    if not orphaned:
        return UNSET
    return Correction([base58_signature(item) for item in sorted(orphaned)])


def comment_frame(row: discussions.Discussion, *, action: CommentAction) -> Frame:
    """Return a comment's frame for its market's channel."""
    shown = comment(row)
    data = CommentFrame(
        **msgspec.structs.asdict(shown),
        action=action,
        post_id=shown.id,
        thread_id=shown.parent_id,
        author=shown.user_wallet,
        text=shown.content,
        discussion=shown,
    )
    return Frame(market_channel(row.market_id), "discussion", data)
