"""What a wallet that signed in may see of itself and its sessions, and the keys of its tokens."""

from __future__ import annotations

from typing import Annotated, TypeAlias
from uuid import UUID

import msgspec
from litestar import delete, get
from litestar.datastructures import CacheControlHeader
from litestar.params import PathParameter
from sqlalchemy import Connection

from api import caching
from api.dependencies import (
    CallerDep,
    DatabaseDep,
    SessionsDep,
    error_responses,
)
from api.errors import not_found
from api.identity import sessions as session_rules
from api.identity.caller import Caller, require_wallet
from api.openapi.security import SIGNED_IN
from api.requests import identifiers
from zmart_pipelines.client_schemas import community
from zmart_pipelines.client_schemas.formats import base58_key, iso8601
from zmart_pipelines.store.queries import accounts, users

SessionPath: TypeAlias = Annotated[str, PathParameter(description="The session's id (UUID).")]


class SessionRow(msgspec.Struct, frozen=True):
    """A session. `is_current` is true for the one that asks.

    `user_agent` and `address` (IPv6: the /64 network) are those of the sign-in.
    """

    id: str
    created_at: str
    last_used_at: str
    expires_at: str
    user_agent: str | None
    address: str | None
    is_current: bool


class SessionList(msgspec.Struct, frozen=True):
    """The wallet's sessions that have neither ended nor expired, the newest first."""

    sessions: list[SessionRow]
    count: int


class EndedSession(msgspec.Struct, frozen=True):
    """The confirmation that a session has ended."""

    message: str
    session: str


class Account(msgspec.Struct, frozen=True):
    """The wallet that signed in. `csrf_token` is what requests with cookies repeat."""

    wallet: str
    profile: community.Profile
    is_operator: bool
    csrf_token: str
    session: SessionRow


class SigningKeys(msgspec.Struct, frozen=True):
    """The public keys that verify access tokens (RFC 7517)."""

    keys: list[dict[str, str]]


def _row(session: accounts.Session, current: UUID) -> SessionRow:
    return SessionRow(
        id=str(session.id),
        created_at=iso8601(session.created_at),
        last_used_at=iso8601(session.last_used_at),
        expires_at=iso8601(session.expires_at),
        user_agent=session.user_agent,
        address=session.address,
        is_current=session.id == current,
    )


def _signed_in(caller: Caller) -> tuple[bytes, UUID]:
    """Return wallet and session of the caller; raise ApiError 401 where there are none."""
    wallet = require_wallet(caller)
    if caller.session is None:
        raise session_rules.session_ended()
    return wallet, caller.session


@get(
    "/api/users/me",
    cache_control=caching.NO_STORE,
    tags=["authentication"],
    responses=error_responses(400, 401),
    security=SIGNED_IN,
)
async def get_own_account(database: DatabaseDep, caller: CallerDep) -> Account:
    """Get the wallet that signed in, its profile and session, and whether it is an operator."""
    wallet, session = _signed_in(caller)

    def read(conn: Connection) -> tuple[accounts.OwnSession, community.Profile]:
        own = session_rules.require_live(conn, wallet, session)
        return own, community.profile(wallet, users.find_profile(conn, wallet))

    own, profile = await database.write(wallet, read)
    return Account(base58_key(wallet), profile, caller.is_operator, own.csrf, _row(own, session))


@get(
    "/api/auth/sessions",
    cache_control=caching.NO_STORE,
    tags=["authentication"],
    responses=error_responses(400, 401),
    security=SIGNED_IN,
)
async def list_sessions(database: DatabaseDep, caller: CallerDep) -> SessionList:
    """List the wallet's own sessions."""
    wallet, session = _signed_in(caller)

    def read(conn: Connection) -> list[accounts.Session]:
        session_rules.require_live(conn, wallet, session)
        return accounts.live_sessions(conn, wallet)

    rows = [_row(found, session) for found in await database.write(wallet, read)]
    return SessionList(rows, len(rows))


@delete(
    "/api/auth/sessions/{session:str}",
    status_code=200,
    tags=["authentication"],
    responses=error_responses(400, 401, 403, 404),
    security=SIGNED_IN,
    opt={"bucket": "auth"},
)
async def end_session(
    database: DatabaseDep, caller: CallerDep, session: SessionPath
) -> EndedSession:
    """End one of the wallet's own sessions; its access token is refused within seconds."""
    wallet, current = _signed_in(caller)
    ended = identifiers.session_id(session)

    def write(conn: Connection) -> bool:
        session_rules.require_live(conn, wallet, current)
        return accounts.end_session(conn, wallet, ended, "ended")

    if not await database.write(wallet, write):
        raise not_found("Session")
    return EndedSession("Session ended", str(ended))


@get(
    "/.well-known/jwks.json",
    cache_control=CacheControlHeader(public=True, max_age=300),
    tags=["authentication"],
    responses=error_responses(400),
)
async def get_signing_keys(sessions: SessionsDep) -> SigningKeys:
    """Get the public keys that verify access tokens, so that other services can verify them."""
    return SigningKeys([dict(key.jwk) for key in sessions.keys])


HANDLERS = [get_own_account, list_sessions, end_session, get_signing_keys]
