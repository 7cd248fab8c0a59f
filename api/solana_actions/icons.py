"""The picture on a market's card: a square SVG with its price, or the word of its state.

Attributes instead of a style sheet, because the content security policy permits none.
"""

from __future__ import annotations

from html import escape
from typing import Final

from api.solana_actions.cards import MarketCard, percent
from zmart_pipelines.client_schemas.formats import PRICE_SCALE
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.wallet_transactions.wording import side

_SIZE: Final = 600
_BAR: Final = 480
_MARGIN: Final = (_SIZE - _BAR) // 2
_BACKGROUND, _YES, _NO, _TEXT, _QUIET = "#10131a", "#22c55e", "#ef4444", "#ffffff", "#9aa4b2"
_FONT: Final = 'font-family="Helvetica, Arial, sans-serif" text-anchor="middle"'


def market_icon(card: MarketCard) -> str:
    """Return the SVG of a market."""
    large, small = _words(card)
    share = card.price_yes * _BAR // PRICE_SCALE
    middle = _SIZE // 2
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_SIZE} {_SIZE}"'
        f' width="{_SIZE}" height="{_SIZE}" role="img">'
        f"<title>{escape(card.question)}</title>"
        f'<rect width="{_SIZE}" height="{_SIZE}" fill="{_BACKGROUND}"/>'
        f'<text x="{middle}" y="110" font-size="44" fill="{_QUIET}" {_FONT}>ZMART</text>'
        f'<text x="{middle}" y="310" font-size="96" font-weight="bold" fill="{_TEXT}" {_FONT}>'
        f"{large}</text>"
        f'<text x="{middle}" y="385" font-size="44" fill="{_QUIET}" {_FONT}>{small}</text>'
        f'<rect x="{_MARGIN}" y="460" width="{_BAR}" height="32" fill="{_NO}"/>'
        f'<rect x="{_MARGIN}" y="460" width="{share}" height="32" fill="{_YES}"/>'
        "</svg>"
    )


def _words(card: MarketCard) -> tuple[str, str]:
    """Return the large and the small line."""
    if card.state is MarketState.ACTIVE:
        return percent(card.price_yes), "YES"
    if card.state is MarketState.FINALIZED and card.final_outcome is not None:
        return side(card.final_outcome), "final outcome"
    return card.state.name, f"YES {percent(card.price_yes)}"
