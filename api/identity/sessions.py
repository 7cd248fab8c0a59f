"""Sessions: how they start, go on and end, and the tokens that clients have of them."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import Connection

from api.error_codes import ErrorCode
from api.errors import ApiError, unavailable
from api.identity.caller import unauthorized
from api.identity.sign_in_store import SignInStore
from zmart_pipelines.proofs import refresh_tokens
from zmart_pipelines.proofs.access_tokens import AccessTokens, SigningKey
from zmart_pipelines.proofs.refresh_tokens import RefreshToken
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries import accounts

MAX_USER_AGENT: Final = 200
# A token that was exchanged may be exchanged again for so long, as by a client that did not
# receive the answer, or by two pages at once. Both receive the same successor.
_GRACE: Final = timedelta(seconds=10)
_CSRF_BYTES: Final = 24
_PURPOSE: Final = "zmart refresh tokens"


class Tokens(msgspec.Struct, frozen=True):
    """What a client holds of a session."""

    access: str
    issued_at: datetime
    access_expires_at: datetime
    refresh: RefreshToken
    session: accounts.Continued


class Refused(msgspec.Struct, frozen=True):
    """Why a refresh token was not exchanged."""

    code: ErrorCode
    reason: str


def signing_keys(settings: Settings) -> tuple[SigningKey, ...]:
    """Return the keys of access tokens, the signing one first; none where none is set.

    Raises:
        ValueError: One is not of the required form.
    """
    given = (settings.auth_signing_key, settings.auth_signing_key_previous)
    if given[0] is None:
        return ()
    return tuple(SigningKey.parse(key.get_secret_value()) for key in given if key is not None)


def access_tokens(settings: Settings) -> AccessTokens | None:
    """Return what issues and verifies access tokens; None where no key is set."""
    keys = signing_keys(settings)
    if not keys:
        return None
    lifetime = timedelta(seconds=settings.access_token_seconds)
    return AccessTokens(keys, issuer=settings.public_origin, lifetime=lifetime)


class Sessions:
    """Starts, continues and ends the sessions of one service."""

    def __init__(self, tokens: AccessTokens | None, settings: Settings) -> None:
        """Issue access tokens by ``tokens``; without them no wallet can sign in."""
        self._tokens = tokens
        self._lifetime = timedelta(days=settings.session_days)
        self._idle = timedelta(days=settings.refresh_token_days)
        self.keys = () if tokens is None else tokens.keys
        self._successor_keys = tuple(key.derive(_PURPOSE) for key in self.keys)

    def require_available(self) -> None:
        """Raise ApiError 503 where no key for access tokens is set."""
        self._issuer()

    def _issuer(self) -> AccessTokens:
        if self._tokens is None:
            raise unavailable("Signing in")
        return self._tokens

    async def start(
        self, store: SignInStore, wallet: bytes, *, user_agent: str | None, address: str
    ) -> Tokens:
        """Start a session of the wallet that signed in; its id is always new.

        Raises:
            ApiError: 503 where no key for access tokens is set.
            DatabaseBusy: Postgres is away or does not answer in time.
        """
        self._issuer()
        token = refresh_tokens.new_token(wallet)
        new = accounts.NewSession(
            wallet=wallet,
            csrf=secrets.token_urlsafe(_CSRF_BYTES),
            user_agent=None if user_agent is None else user_agent[:MAX_USER_AGENT],
            address=address,
            token_hash=token.hash,
            session_lifetime=self._lifetime,
            token_lifetime=self._idle,
        )
        return self._tokens_of(await store.start_session(new), token)

    def refresh(self, conn: Connection, token: RefreshToken) -> Tokens | Refused:
        """Exchange a refresh token for its successor and a new access token.

        A token that was exchanged before ends its session: it is in the hands of two, one of whom
        stole it. The caller commits in either case.

        Raises:
            ApiError: 503 where no key for access tokens is set.
        """
        self._issuer()
        successor = token.successor(self._successor_keys[0])
        continued = accounts.exchange_token(
            conn, token_hash=token.hash, successor=successor.hash, lifetime=self._idle
        )
        if continued is not None:
            return self._tokens_of(continued, successor)
        return self._repeated(conn, token)

    def _repeated(self, conn: Connection, token: RefreshToken) -> Tokens | Refused:
        used = accounts.find_used_token(conn, token.hash)
        if used is None or used.used is None:
            return Refused(
                ErrorCode.REFRESH_TOKEN_INVALID, "is unknown or has expired; sign in again"
            )
        if not used.is_live:
            return Refused(ErrorCode.SESSION_ENDED, "is of a session that has ended; sign in again")
        if used.used <= _GRACE:
            for key in self._successor_keys:
                successor = token.successor(key)
                session = accounts.find_unused_token(conn, successor.hash)
                if session is not None:
                    return self._tokens_of(session, successor)
        accounts.end_session(conn, token.wallet, used.session, "reuse")
        return Refused(
            ErrorCode.REFRESH_TOKEN_REUSED, "was used before, so its session was ended; sign in"
        )

    def _tokens_of(self, session: accounts.Continued, token: RefreshToken) -> Tokens:
        tokens = self._issuer()
        now = datetime.now(UTC).replace(microsecond=0)
        access = tokens.issue(
            wallet=session.wallet,
            session=session.id,
            csrf=session.csrf,
            token_id=uuid4().hex,
            now=now,
        )
        return Tokens(access, now, now + tokens.lifetime, token, session)


def require_live(conn: Connection, wallet: bytes, session: UUID) -> accounts.OwnSession:
    """Return the wallet's session, by the database itself.

    Raises:
        ApiError: 401 where it has ended or expired.
    """
    found = accounts.find_session(conn, wallet, session)
    if found is None:
        raise session_ended()
    return found


def session_ended() -> ApiError:
    """Return the 401 of a session that has ended."""
    return unauthorized("The session has ended; sign in again", code=ErrorCode.SESSION_ENDED)
