"""Tickets: how a connection that cannot send headers says who it acts for.

A caller that signed in, a wallet's key with the scope ``read``, or an operator's key gets a ticket
over HTTP and sends it as a message of the socket. It is good once, within seconds, in any process.
"""

from __future__ import annotations

from datetime import timedelta

from api.database import Database
from api.error_codes import ErrorCode
from api.errors import FieldError
from api.identity.caller import Caller, Service, unauthorized
from api.identity.key_scopes import reading_wallet
from zmart_pipelines.proofs import realtime_tickets as forms
from zmart_pipelines.proofs import service_keys
from zmart_pipelines.store.queries import realtime_tickets as queries


async def issue(database: Database, caller: Caller, lifetime: timedelta) -> str:
    """Store a ticket of ``caller`` and return it.

    Raises:
        ApiError: 401 without a session and a key, 403 where the key neither is an operator's nor
            reads for a wallet.
    """
    wallet = caller.wallet if caller.is_operator else reading_wallet(caller)
    service = caller.service
    holder = queries.Holder(
        wallet=wallet,
        session=caller.session,
        service=None if service is None else service.name,
        key_id=None if service is None else service.key_id,
        is_operator=caller.is_operator,
    )
    ticket = forms.new_ticket()
    hashed = forms.ticket_hash(ticket)
    write = database.write_as_operator if caller.is_operator else database.write
    await write(wallet, lambda conn: queries.add_ticket(conn, hashed, holder, lifetime))
    return ticket


async def redeem(database: Database, ticket: str) -> Caller:
    """Use ``ticket`` up and return for whom its connection acts from now on.

    Raises:
        ApiError: 401 where it is not good any more.
    """
    holder = None
    if forms.is_ticket(ticket):
        hashed = forms.ticket_hash(ticket)
        holder = await database.write(None, lambda conn: queries.redeem_ticket(conn, hashed))
    if holder is None:
        reason = "is unknown, used or expired; get a new one by POST /api/realtime/tickets"
        raise unauthorized(
            f"ticket: {reason}", FieldError("ticket", reason), code=ErrorCode.TICKET_INVALID
        )
    return Caller(
        wallet=holder.wallet,
        session=holder.session,
        service=_service(holder),
        is_operator=holder.is_operator,
    )


def _service(holder: queries.Holder) -> Service | None:
    if holder.service is None:
        return None
    scopes = frozenset({service_keys.OPERATOR} if holder.is_operator else ())
    return Service(holder.key_id, holder.service, scopes)
