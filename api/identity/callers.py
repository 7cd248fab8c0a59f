"""Finds out who sends a request from what its headers carry.

A service sends its key as ``X-Api-Key`` or ``Authorization: Bearer zmart_…``; a wallet that signed
in sends its access token as ``Authorization: Bearer``, or a browser the token's cookie. A request
may carry a key and a token. A wrong key or token is refused; a cookie that is not valid any more
counts as none, since the browser sends it unasked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from api.error_codes import ErrorCode
from api.errors import ApiError
from api.identity import cookies
from api.identity.caller import ANONYMOUS, Caller, unauthorized
from api.identity.ended_sessions import EndedSessions
from api.identity.service_keys import ServiceKeys
from api.identity.verified_tokens import VerifiedTokens
from zmart_pipelines.proofs import service_keys
from zmart_pipelines.proofs.access_tokens import AccessClaims, TokenExpired, TokenRejected

# Here clients get and give up tokens: those that they have are not asked for.
_WITHOUT_TOKEN: Final = frozenset(
    f"/api/auth/{act}" for act in ("nonce", "verify", "login", "refresh", "logout")
)
_KEY_PREFIX: Final = service_keys.PREFIX.encode()


class Callers:
    """What identifies the callers of one process."""

    def __init__(
        self,
        keys: ServiceKeys,
        tokens: VerifiedTokens | None,
        ended: EndedSessions,
        *,
        operators: frozenset[bytes],
        origins: frozenset[str],
    ) -> None:
        """Accept keys and tokens.

        Args:
            keys: Of services.
            tokens: Verifies tokens; None where no wallet can sign in.
            ended: Sessions whose tokens are not accepted any more.
            operators: Wallets that are operators.
            origins: Origins of pages whose cookies count.
        """
        self._keys = keys
        self._tokens = tokens
        self._ended = ended
        self._operators = operators
        self._origins = origins

    async def identify(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> Caller:
        """Return who sends the request; anonymous where it carries nothing that identifies.

        Raises:
            ApiError: 401 where the request carries an identity that is not accepted, 403 where a
                cookie is not accompanied as it must be, 503 where it cannot be found out.
        """
        bearer = _bearer(headers)
        key = headers.get(b"x-api-key")
        if key is None and bearer is not None and bearer.startswith(_KEY_PREFIX):
            key, bearer = bearer, None
        caller = ANONYMOUS if key is None else await self._by_key(key.strip())
        if scope["path"] in _WITHOUT_TOKEN:
            return caller
        if bearer is not None:
            return self._signed_in(caller, await self._by_token(bearer.decode("latin-1")))
        if b"cookie" in headers and b"authorization" not in headers:
            claims = await self._by_cookie(scope["method"], headers)
            return caller if claims is None else self._signed_in(caller, claims)
        return caller

    def _signed_in(self, caller: Caller, claims: AccessClaims) -> Caller:
        return Caller(
            wallet=claims.wallet,
            session=claims.session,
            service=caller.service,
            is_operator=caller.is_operator or claims.wallet in self._operators,
        )

    async def _by_key(self, key: bytes) -> Caller:
        service = await self._keys.find(key)
        if service is None:
            raise unauthorized(
                "The service key is unknown or revoked; send a valid one, or none",
                code=ErrorCode.INVALID_API_KEY,
            )
        return Caller(service=service, is_operator=service_keys.OPERATOR in service.scopes)

    async def _by_token(self, token: str) -> AccessClaims:
        if self._tokens is None:
            raise _refused("no wallet can sign in here", ErrorCode.ACCESS_TOKEN_INVALID)
        try:
            claims = self._tokens.claims(token)
        except TokenExpired as error:
            raise _refused(f"{error}; refresh it", ErrorCode.ACCESS_TOKEN_EXPIRED) from None
        except TokenRejected as error:
            raise _refused(str(error), ErrorCode.ACCESS_TOKEN_INVALID) from None
        if await self._ended.contains(claims.session):
            raise _refused("the session was ended; sign in again", ErrorCode.SESSION_ENDED)
        return claims

    async def _by_cookie(self, method: str, headers: Mapping[bytes, bytes]) -> AccessClaims | None:
        """Return what the cookie's token says; None where there is no valid one."""
        token = cookies.read_cookie(headers, cookies.ACCESS)
        if token is None:
            return None
        try:
            claims = await self._by_token(token)
        except ApiError:
            return None
        if method not in cookies.SAFE_METHODS:
            cookies.require_own_page(headers, self._origins)
            cookies.require_csrf_token(headers, claims.csrf)
        return claims


def _bearer(headers: Mapping[bytes, bytes]) -> bytes | None:
    """Return the token of the scheme Bearer; None where there is none or it is empty."""
    authorization = headers.get(b"authorization")
    if authorization is None or authorization[:7].lower() != b"bearer ":
        return None
    return authorization[7:].strip() or None


def _refused(reason: str, code: ErrorCode) -> ApiError:
    challenge = 'Bearer error="invalid_token"'
    return unauthorized(f"Authorization: {reason}", code=code, challenge=challenge)
