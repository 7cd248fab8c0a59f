"""Tickets for private live updates."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from litestar import post

from api.dependencies import CallerDep, DatabaseDep, SettingsDep, error_responses
from api.openapi.security import SESSION_OR_KEY
from api.realtime import tickets


class RealtimeTicket(msgspec.Struct, frozen=True):
    """A ticket that signs one socket in, once and within `expires_in` seconds."""

    ticket: str
    expires_in: int


@post(
    "/api/realtime/tickets",
    tags=["authentication"],
    responses=error_responses(400, 401, 403, 429),
    security=SESSION_OR_KEY,
    opt={"bucket": "write"},
)
async def create_realtime_ticket(
    database: DatabaseDep, settings: SettingsDep, caller: CallerDep
) -> RealtimeTicket:
    """Get a ticket for private live updates of the wallet that signed in, or that the key is of.

    It is sent as `{"action": "authenticate", "ticket": …}`, the first message of a socket. A
    wallet's key needs the scope `read`. An operator's key gets a ticket as well, for the alerts
    with their texts.
    """
    seconds = settings.realtime_ticket_seconds
    return RealtimeTicket(
        await tickets.issue(database, caller, timedelta(seconds=seconds)), seconds
    )


HANDLERS = [create_realtime_ticket]
