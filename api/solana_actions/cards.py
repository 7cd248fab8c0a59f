"""A market as a card: its texts and, by its state, the buttons that do something now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec
from msgspec import UNSET

from api.solana_actions.specified import (
    ActionError,
    ActionLinks,
    FollowingAction,
    LinkedAction,
    MarketAction,
    NumberParameter,
)
from zmart_pipelines.client_schemas.formats import PRICE_SCALE
from zmart_pipelines.program.accounts import ALLOCATED_SIZE, MarketState, VoteRecord
from zmart_pipelines.program.lifecycle import dispute_window_end
from zmart_pipelines.program.lmsr import PRECISION
from zmart_pipelines.program.payout import rent_minimum
from zmart_pipelines.wallet_transactions.wording import moment, side, sol

PATH: Final = "/api/actions"
ICON: Final = "icon.svg"

_SMALLEST_BUY: Final = 10_000  # lamports
_VOTE_RENT: Final = sol(rent_minimum(ALLOCATED_SIZE[VoteRecord]))
_VOTE_COST: Final = (
    f"The vote is stored on chain, once and for good, and costs {_VOTE_RENT} of rent. A signed"
    " ballot, given at ZMART's site, counts alike and costs nothing."
)


class MarketCard(msgspec.Struct, frozen=True, kw_only=True):
    """What a card shows of a market, as of one moment.

    Attributes:
        origin: Under which clients reach this API, without a final slash.
        market_id: In hex.
        price_yes: With 9 decimals.
        resolution_proposed_at: In chain seconds; 0 where no outcome was proposed.
        dispute_period: In seconds.
        now: In chain seconds.
    """

    origin: str
    market_id: str
    question: str
    state: MarketState
    price_yes: int
    proposed_outcome: bool | None
    final_outcome: bool | None
    resolution_proposed_at: int
    dispute_period: int
    is_paused: bool
    now: int

    def url(self, rest: str = "") -> str:
        """Return the absolute address of the market's Action, or of what lies below it."""
        return f"{self.origin}{PATH}/{self.market_id}{rest}"


class _Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What a state lets wallets do: buttons, or the reason why there are none."""

    description: str
    label: str
    buttons: tuple[LinkedAction, ...] = ()
    reason: str | None = None


def market_action(card: MarketCard) -> MarketAction:
    """Return the card with the buttons of its state."""
    offer = _OFFERS[card.state](card)
    return MarketAction(
        type="action",
        **_shown(card, offer.label, offer.description),
        disabled=UNSET if offer.reason is None else True,
        links=ActionLinks(offer.buttons) if offer.buttons else UNSET,
        error=UNSET if offer.reason is None else ActionError(offer.reason),
    )


def completed_action(card: MarketCard, label: str, description: str) -> FollowingAction:
    """Return the card of a market after an act that nothing follows."""
    return FollowingAction(type="completed", **_shown(card, label, description), links=UNSET)


def disputed_action(card: MarketCard) -> FollowingAction:
    """Return the card of a market after its dispute, with the buttons of the vote."""
    offer = _disputed(card)
    return FollowingAction(
        type="action",
        **_shown(card, offer.label, offer.description),
        links=ActionLinks(offer.buttons),
    )


def _shown(card: MarketCard, label: str, description: str) -> dict[str, str]:
    """Return the members that every card has."""
    return {
        "icon": card.url(f"/{ICON}"),
        "title": card.question,
        "description": description,
        "label": label,
    }


def percent(price: int) -> str:
    """Return a 9-decimal price as a percentage with one decimal, rounded half up."""
    tenths = (price * 1000 + PRICE_SCALE // 2) // PRICE_SCALE
    return f"{tenths // 10}.{tenths % 10} %"


def _button(card: MarketCard, label: str, rest: str) -> LinkedAction:
    return LinkedAction(type="transaction", href=card.url(rest), label=label)


def _proposed(card: MarketCard) -> _Offer:
    return _Offer(
        description=f"A proposed market: vote whether it shall open. {_VOTE_COST}",
        label="Vote",
        buttons=(
            _button(card, "Like", "/vote-proposal?vote=like"),
            _button(card, "Dislike", "/vote-proposal?vote=dislike"),
        ),
    )


def _approved(_card: MarketCard) -> _Offer:
    return _Offer(
        description="An approved market, which is not open yet.",
        label="Not open yet",
        reason="Trading begins when the market's creator activates it.",
    )


def _active(card: MarketCard) -> _Offer:
    price = card.price_yes
    description = (
        f"YES {percent(price)}, NO {percent(PRICE_SCALE - price)}. Buy shares of the side that"
        " you believe in; those of the final outcome are paid out."
    )
    if card.is_paused:
        return _Offer(
            description=description,
            label="Paused",
            reason="The protocol is paused: no market can be traded until the pause ends.",
        )
    return _Offer(
        description=description,
        label="Buy",
        buttons=tuple(_buy_button(card, outcome) for outcome in (True, False)),
    )


def _buy_button(card: MarketCard, outcome: bool) -> LinkedAction:
    amount = NumberParameter(
        type="number",
        name="amount",
        label=f"SOL to spend on {side(outcome)}",
        required=True,
        min=_SMALLEST_BUY / PRECISION,
        pattern_description="An amount of SOL such as 0.5, with at most 9 decimals",
    )
    return LinkedAction(
        type="transaction",
        href=card.url(f"/buy?side={side(outcome).lower()}&amount={{amount}}"),
        label=f"Buy {side(outcome)}",
        parameters=(amount,),
    )


def _resolving(card: MarketCard) -> _Offer:
    end = dispute_window_end(card.resolution_proposed_at, card.dispute_period)
    proposed = f"The proposed outcome is {side(bool(card.proposed_outcome))}."
    if card.now >= end:
        return _Offer(
            description=proposed,
            label="Being finalized",
            reason=f"The outcome could be disputed until {moment(end)} and becomes final soon.",
        )
    return _Offer(
        description=(
            f"{proposed} Any wallet can dispute it until {moment(end)}; then votes decide whether"
            " it is reversed."
        ),
        label="Dispute",
        buttons=(_button(card, "Dispute the outcome", "/dispute"),),
    )


def _disputed(card: MarketCard) -> _Offer:
    proposed = side(bool(card.proposed_outcome))
    return _Offer(
        description=(
            f"The proposed outcome {proposed} is disputed: vote whether it is wrong. {_VOTE_COST}"
        ),
        label="Vote",
        buttons=(
            _button(card, f"{proposed} is wrong", "/vote-dispute?vote=agree"),
            _button(card, f"{proposed} is right", "/vote-dispute?vote=disagree"),
        ),
    )


def _finalized(card: MarketCard) -> _Offer:
    outcome = card.final_outcome
    return _Offer(
        description=(
            "The market has no outcome: what was invested is refunded."
            if outcome is None
            else f"The final outcome is {side(outcome)}: its shares are paid out."
        ),
        label="Claim",
        buttons=(_button(card, "Claim", "/claim"),),
    )


def _cancelled(_card: MarketCard) -> _Offer:
    return _Offer(
        description="A cancelled market.",
        label="Cancelled",
        reason="The market was cancelled before it opened.",
    )


_OFFERS: Final[Mapping[MarketState, Callable[[MarketCard], _Offer]]] = MappingProxyType(
    {
        MarketState.PROPOSED: _proposed,
        MarketState.APPROVED: _approved,
        MarketState.ACTIVE: _active,
        MarketState.RESOLVING: _resolving,
        MarketState.DISPUTED: _disputed,
        MarketState.FINALIZED: _finalized,
        MarketState.CANCELLED: _cancelled,
    }
)
