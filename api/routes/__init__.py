"""The HTTP interface, one subject per module."""

from __future__ import annotations

from litestar.types import ControllerRouterHandler

from api.routes import (
    ballots,
    breakers,
    candles,
    discovery,
    discussions,
    drafts,
    error_page,
    events,
    health,
    kill_switches,
    live_updates,
    markets,
    pinned_files,
    positions,
    quotes,
    trades,
    transaction_records,
    transactions,
    votes,
    wallets,
)

HANDLERS: list[ControllerRouterHandler] = [
    live_updates.live_updates,
    *health.HANDLERS,
    *breakers.HANDLERS,
    *markets.HANDLERS,
    *candles.HANDLERS,
    *discovery.HANDLERS,
    *drafts.HANDLERS,
    *error_page.HANDLERS,
    *trades.HANDLERS,
    *quotes.HANDLERS,
    *transactions.HANDLERS,
    *votes.HANDLERS,
    *ballots.HANDLERS,
    *kill_switches.HANDLERS,
    *pinned_files.HANDLERS,
    *events.HANDLERS,
    *transaction_records.HANDLERS,
    *wallets.HANDLERS,
    *positions.HANDLERS,
    *discussions.HANDLERS,
]
