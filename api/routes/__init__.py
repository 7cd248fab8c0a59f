"""The HTTP interface, one subject per file."""

from __future__ import annotations

from litestar.types import ControllerRouterHandler

from api.routes import (
    candles,
    discovery,
    discussions,
    drafts,
    health,
    live,
    markets,
    submissions,
    trades,
    transactions,
    votes,
    wallets,
)

HANDLERS: list[ControllerRouterHandler] = [
    live.live,
    *health.HANDLERS,
    *markets.HANDLERS,
    *candles.HANDLERS,
    *discovery.HANDLERS,
    *drafts.HANDLERS,
    *trades.HANDLERS,
    *transactions.HANDLERS,
    *votes.HANDLERS,
    *submissions.HANDLERS,
    *wallets.HANDLERS,
    *discussions.HANDLERS,
]
