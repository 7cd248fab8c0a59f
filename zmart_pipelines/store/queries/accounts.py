"""Nonces, sessions and refresh tokens. The transaction acts as the wallet (``act_as``)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

import msgspec
from sqlalchemy import Connection, func, select, text, update

from zmart_pipelines.store.queries.row_mapping import many, one
from zmart_pipelines.store.tables.accounts import refresh_tokens, sessions

EndReason = Literal["logout", "ended", "reuse"]


class Nonce(msgspec.Struct, frozen=True):
    """For what a text was given out; times by the API's clock."""

    wallet: bytes
    origin: str
    issued_at: datetime
    expires_at: datetime


class Session(msgspec.Struct, frozen=True):
    """A session that has neither ended nor expired."""

    id: UUID
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    user_agent: str | None
    address: str | None


class OwnSession(Session, frozen=True, kw_only=True):
    """The session of the caller."""

    csrf: str


class Continued(msgspec.Struct, frozen=True):
    """A session with a new refresh token.

    Attributes:
        expires_at: When the session ends.
        refresh_expires_at: When the refresh token ends.
    """

    id: UUID
    wallet: bytes
    csrf: str
    expires_at: datetime
    refresh_expires_at: datetime


class UsedToken(msgspec.Struct, frozen=True):
    """A refresh token that cannot be exchanged.

    Attributes:
        is_live: Whether its session has neither ended nor expired.
        used: How long ago it was exchanged; None where it was not.
        successor: Hash of the token that it was exchanged for.
    """

    session: UUID
    is_live: bool
    used: timedelta | None
    successor: bytes | None


# Statements of asyncpg, whose functions act as the wallet that is their first argument.
ADD_NONCE: Final = "SELECT accounts.add_nonce($1, $2, $3, $4, $5)"
TAKE_NONCE: Final = "SELECT wallet, origin, issued_at, expires_at FROM accounts.take_nonce($1, $2)"
START_SESSION: Final = (
    "SELECT id, expires_at, refresh_expires_at"
    " FROM accounts.start_session($1, $2, $3, $4, $5, $6, $7)"
)


class NewSession(msgspec.Struct, frozen=True):
    """A session that starts, with the hash of its first refresh token (32 bytes)."""

    wallet: bytes
    csrf: str
    user_agent: str | None
    address: str
    token_hash: bytes
    session_lifetime: timedelta
    token_lifetime: timedelta


# One statement: of two that exchange the same token, the second waits for the first and then finds
# the token used. The session's row is locked by it, so that an end of the session is not passed by.
_EXCHANGE: Final = text(
    """
    WITH used AS (
        UPDATE accounts.refresh_tokens AS t SET used_at = now(), successor = :successor
        WHERE t.hash = :hash AND t.used_at IS NULL AND t.expires_at > now()
        RETURNING t.session
    ), continued AS (
        UPDATE accounts.sessions AS s SET last_used_at = now() FROM used
        WHERE s.id = used.session AND s.ended_at IS NULL AND s.expires_at > now()
        RETURNING s.id, s.wallet, s.csrf, s.expires_at
    ), added AS (
        INSERT INTO accounts.refresh_tokens (hash, session, wallet, expires_at)
        SELECT :successor, id, wallet, LEAST(now() + :lifetime, expires_at) FROM continued
        RETURNING expires_at
    )
    SELECT continued.*, added.expires_at AS refresh_expires_at FROM continued, added
    """
)


def exchange_token(
    conn: Connection, *, token_hash: bytes, successor: bytes, lifetime: timedelta
) -> Continued | None:
    """Exchange a refresh token for its successor (both hashes of 32 bytes).

    Returns:
        None where the token is unknown, used or expired, or its session is over.
    """
    row = conn.execute(
        _EXCHANGE, {"hash": token_hash, "successor": successor, "lifetime": lifetime}
    ).one_or_none()
    return None if row is None else one(Continued, row)


def find_used_token(conn: Connection, token_hash: bytes) -> UsedToken | None:
    """Return why a token could not be exchanged; None where there is none of this hash."""
    row = conn.execute(
        select(
            refresh_tokens.c.session,
            (sessions.c.ended_at.is_(None) & (sessions.c.expires_at > func.now())).label("is_live"),
            (func.clock_timestamp() - refresh_tokens.c.used_at).label("used"),
            refresh_tokens.c.successor,
        )
        .join(sessions, sessions.c.id == refresh_tokens.c.session)
        .where(refresh_tokens.c.hash == token_hash)
    ).one_or_none()
    return None if row is None else one(UsedToken, row)


def find_unused_token(conn: Connection, token_hash: bytes) -> Continued | None:
    """Return the live session that a refresh token, not exchanged yet, continues."""
    row = conn.execute(
        select(
            sessions.c.id,
            sessions.c.wallet,
            sessions.c.csrf,
            sessions.c.expires_at,
            refresh_tokens.c.expires_at.label("refresh_expires_at"),
        )
        .join(sessions, sessions.c.id == refresh_tokens.c.session)
        .where(
            refresh_tokens.c.hash == token_hash,
            refresh_tokens.c.used_at.is_(None),
            refresh_tokens.c.expires_at > func.now(),
            sessions.c.ended_at.is_(None),
            sessions.c.expires_at > func.now(),
        )
    ).one_or_none()
    return None if row is None else one(Continued, row)


def live_sessions(conn: Connection, wallet: bytes) -> list[Session]:
    """Return the wallet's sessions that have neither ended nor expired, the newest first."""
    columns = [sessions.c[name] for name in Session.__struct_fields__]
    found = conn.execute(
        select(*columns)
        .where(
            sessions.c.wallet == wallet,
            sessions.c.ended_at.is_(None),
            sessions.c.expires_at > func.now(),
        )
        .order_by(sessions.c.created_at.desc(), sessions.c.id)
    )
    return many(Session, found)


def find_session(conn: Connection, wallet: bytes, session: UUID) -> OwnSession | None:
    """Return a session of the wallet; None where it has ended, expired or is another's."""
    columns = [sessions.c[name] for name in OwnSession.__struct_fields__]
    row = conn.execute(
        select(*columns).where(
            sessions.c.id == session,
            sessions.c.wallet == wallet,
            sessions.c.ended_at.is_(None),
            sessions.c.expires_at > func.now(),
        )
    ).one_or_none()
    return None if row is None else one(OwnSession, row)


def end_session(conn: Connection, wallet: bytes, session: UUID, reason: EndReason) -> bool:
    """End a session of the wallet; return whether it had not ended."""
    ended = conn.execute(
        update(sessions)
        .where(sessions.c.id == session, sessions.c.wallet == wallet, sessions.c.ended_at.is_(None))
        .values(ended_at=func.now(), end_reason=reason)
    )
    return ended.rowcount > 0


def session_of_token(conn: Connection, token_hash: bytes) -> UUID | None:
    """Return the session that a refresh token belongs to, used or not."""
    found: UUID | None = conn.execute(
        select(refresh_tokens.c.session).where(refresh_tokens.c.hash == token_hash)
    ).scalar()
    return found


def sessions_ended_within(conn: Connection, age: timedelta) -> frozenset[UUID]:
    """Return all wallets' sessions that were ended at most ``age`` ago."""
    found = conn.execute(
        text("SELECT accounts.sessions_ended_since(now() - :age)"), {"age": age}
    ).scalars()
    return frozenset(found)
