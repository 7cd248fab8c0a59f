"""Writes that were accepted: a signature serves one, and a wallet and an address only so many.

Called in the transaction of the write, so that both are committed or neither.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Select, bindparam, func, select, union_all
from sqlalchemy.dialects.postgresql import insert

from api.connections.client_address import address_key
from api.error_codes import ErrorCode
from api.errors import ApiError, FieldError, limit_exceeded
from api.identity import sessions
from api.identity.auth import AuthorizedWrite, unauthorized
from zmart_pipelines.proofs.request_text import Action
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.locks import lock_request_senders
from zmart_pipelines.store.tables.accounts import session_writes
from zmart_pipelines.store.tables.community import signed_requests

_requests = signed_requests
_WINDOW: Final = timedelta(hours=1)
_COMMENTS: Final = ("comment", "edit-comment", "delete-comment")
# The settings that limit a wallet's and an address's writes. What a wallet pins is counted by
# api.pin_allowance.
_WALLET_LIMITS: Final = dict.fromkeys(_COMMENTS, "comments_per_wallet_hour")
_ADDRESS_LIMITS: Final = dict.fromkeys(_COMMENTS, "comments_per_address_hour") | dict.fromkeys(
    ("draft", "replace-draft"), "drafts_per_address_hour"
)


def _decisive(column: str) -> Select[Any]:
    """Select the time of the write that is the last one allowed in the window, and now."""
    accepted = union_all(
        *(
            select(table.c.accepted_at)
            .where(table.c[column] == bindparam("sender"), table.c.action == bindparam("action"))
            .where(table.c.accepted_at > func.now() - _WINDOW)
            .order_by(table.c.accepted_at.desc())
            .limit(bindparam("allowed"))
            for table in (_requests, session_writes)
        )
    ).subquery()
    return (
        select(accepted.c.accepted_at, func.now())
        .order_by(accepted.c.accepted_at.desc())
        .offset(bindparam("before"))
        .limit(1)
    )


# Built once: every write is counted by them.
_DECISIVE: Final = {column: _decisive(column) for column in ("wallet", "address")}
_OF_SIGNATURE: Final = select(_requests.c.wallet, _requests.c.digest).where(
    _requests.c.signature == bindparam("signature")
)
# The reading role sees the signatures alone.
_SIGNATURE: Final = select(_requests.c.signature).where(
    _requests.c.signature == bindparam("signature")
)
_RECORD: Final = insert(_requests).on_conflict_do_nothing().returning(_requests.c.signature)


def used() -> ApiError:
    """Return the 401 of a signature that has served another request."""
    return unauthorized(
        "This signature has already served another request; sign a new text",
        FieldError("signature", "has already served another request"),
        code=ErrorCode.SIGNATURE_USED,
    )


def require_unused(conn: Connection, signature: bytes) -> None:
    """Raise ApiError 401 if the signature was used for a write: it is not valid for sign-in."""
    if conn.execute(_SIGNATURE, {"signature": signature}).first() is not None:
        raise used()


def is_repeat(conn: Connection, write: AuthorizedWrite) -> bool:
    """Return whether the same signed request has been served; False where it has not.

    A write that a session permits is never one: ``Idempotency-Key`` says which of those repeat.

    Raises:
        ApiError: 401 where the signature has served another request, or is unused and its text has
            expired.
    """
    if write.signature is None:
        return False
    found = conn.execute(_OF_SIGNATURE, {"signature": write.signature}).first()
    if found is None:
        if write.expired is not None:
            raise write.expired
        return False
    if tuple(found) != (write.wallet, write.digest):
        raise used()
    return True


def record(conn: Connection, write: AuthorizedWrite, settings: Settings) -> bool:
    """Record the write and return whether it is new; a repeated request is not recorded again.

    From here to the commit other writes of the wallet and from the address wait, so that the
    limits hold for concurrent ones too.

    Raises:
        ApiError: As :func:`is_repeat` and :func:`require_below_limits`.
    """
    network = address_key(write.address)
    lock_request_senders(conn, write.wallet, network.encode())
    if is_repeat(conn, write):
        return False
    require_below_limits(conn, write, settings)
    if write.session is not None:
        _record_of_session(conn, write, write.session, network)
        return True
    values = {
        "signature": write.signature,
        "wallet": write.wallet,
        "address": network,
        "action": write.action,
        "digest": write.digest,
    }
    recorded = conn.execute(_RECORD, values).first()
    # A ballot with this signature, which does not wait for the sender's lock, may have been first.
    return recorded is not None or not is_repeat(conn, write)


def _record_of_session(
    conn: Connection, write: AuthorizedWrite, session: UUID, network: str
) -> None:
    """Record a write that a session permits; the database itself says whether it still does."""
    sessions.require_live(conn, write.wallet, session)
    conn.execute(
        insert(session_writes).values(
            session=session, wallet=write.wallet, address=network, action=write.action
        )
    )


def require_below_limits(conn: Connection, write: AuthorizedWrite, settings: Settings) -> None:
    """Raise ApiError 429 where the wallet or the address has written enough in the last hour."""
    for limits, column, sender in (
        (_WALLET_LIMITS, "wallet", write.wallet),
        (_ADDRESS_LIMITS, "address", address_key(write.address)),
    ):
        setting = limits.get(write.action)
        if setting is None:
            continue
        allowed = getattr(settings, setting)
        wait = _seconds_to_wait(conn, column, sender, write.action, allowed)
        if wait is not None:
            raise limit_exceeded(setting, allowed, wait)


def _seconds_to_wait(
    conn: Connection, column: str, sender: bytes | str, action: Action, allowed: int
) -> int | None:
    """Return the seconds until the sender may write again, None where it may now."""
    values = {"sender": sender, "action": action, "allowed": allowed, "before": allowed - 1}
    found = conn.execute(_DECISIVE[column], values).first()
    if found is None:
        return None
    decisive: datetime = found[0]
    now: datetime = found[1]
    return max(1, math.ceil((decisive + _WINDOW - now).total_seconds()))
