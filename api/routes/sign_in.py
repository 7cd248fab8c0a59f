"""Signing in with a wallet, and the tokens that follow: refreshing them and giving them up."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

import msgspec
from litestar import Request, Response, post
from litestar.datastructures import Cookie
from litestar.params import JSONBody
from sqlalchemy import Connection

from api.connections.client_address import client_key
from api.dependencies import (
    DatabaseDep,
    RequestLimitsDep,
    SessionsDep,
    SettingsDep,
    SignInStoreDep,
    error_responses,
)
from api.error_codes import ErrorCode
from api.errors import FieldError
from api.identity import cookies, sign_in
from api.identity.caller import unauthorized
from api.identity.sessions import Refused, Tokens
from api.rate_limit.buckets import BucketName
from api.requests import identifiers
from api.requests.bodies import NonceRequest, RefreshRequest, SignInRequest
from zmart_pipelines.client_schemas.formats import base58_key, iso8601
from zmart_pipelines.proofs import refresh_tokens, sign_in_with_solana
from zmart_pipelines.proofs.refresh_tokens import RefreshToken
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries import accounts

_ERRORS: Final = error_responses(400, 401, 413, 415, 429)
_COOKIE_ERRORS: Final = error_responses(400, 401, 403, 413, 415, 429)
_BUCKET: Final = {"bucket": "auth"}


class SignInInput(msgspec.Struct, frozen=True, rename="camel"):
    """The input of `solana:signIn` of the Wallet Standard, from which a wallet makes the text."""

    domain: str
    address: str
    statement: str
    uri: str
    version: str
    chain_id: str
    nonce: str
    issued_at: str
    expiration_time: str


class TextToSignIn(msgspec.Struct, frozen=True):
    """The text that signs a wallet in once, until `expires_at`.

    A wallet signs `message`, byte for byte, or makes the same text of `input` (`solana:signIn`).
    """

    message: str
    input: SignInInput
    nonce: str
    wallet: str
    issued_at: str
    expires_at: str


class SignedIn(msgspec.Struct, frozen=True):
    """The tokens of a session.

    With cookies, `access_token` and `refresh_token` are null, and `csrf_token` is what requests
    that change something repeat as `X-CSRF-Token`; without, `csrf_token` is null. `expires_in` is
    the access token's lifetime in seconds.
    """

    token_type: Literal["Bearer"]
    access_token: str | None
    expires_in: int
    access_expires_at: str
    refresh_token: str | None
    refresh_expires_at: str
    csrf_token: str | None
    session: str
    session_expires_at: str
    wallet: str


class SignedOut(msgspec.Struct, frozen=True):
    """The confirmation that the session has ended."""

    message: str


@post(
    "/api/auth/nonce",
    status_code=200,
    tags=["authentication"],
    responses=error_responses(400, 413, 415, 429),
    opt=_BUCKET,
)
async def get_sign_in_text(
    request: Request[Any, Any, Any],
    settings: SettingsDep,
    sessions: SessionsDep,
    sign_in_store: SignInStoreDep,
    data: JSONBody[NonceRequest],
) -> TextToSignIn:
    """Get the exact text that a wallet signs to sign in.

    The server chooses every field. The domain is that of the page that asks, which must be one of
    `CORS_ORIGINS`; without a page it is the API's own.
    """
    sessions.require_available()
    wallet = identifiers.wallet(data.wallet)
    message = sign_in.new_message(wallet, sign_in.requested_origin(request, settings), settings)
    await sign_in_store.add_nonce(message.nonce, sign_in.issued_nonce(message))
    issued, expires = iso8601(message.issued), iso8601(message.expires)
    text = message.compose()
    return TextToSignIn(
        message=text,
        input=_input_of(text, message),
        nonce=message.nonce,
        wallet=message.address,
        issued_at=issued,
        expires_at=expires,
    )


def _input_of(text: str, message: sign_in_with_solana.SignInMessage) -> SignInInput:
    """Return the fields with the times as the text writes them."""
    lines = dict(line.split(": ", 1) for line in text.split("\n")[5:])
    return SignInInput(
        domain=message.domain,
        address=message.address,
        statement=sign_in_with_solana.STATEMENT,
        uri=message.origin,
        version=sign_in_with_solana.VERSION,
        chain_id=message.chain,
        nonce=message.nonce,
        issued_at=lines["Issued At"],
        expiration_time=lines["Expiration Time"],
    )


@post(
    ["/api/auth/verify", "/api/auth/login"],
    status_code=200,
    tags=["authentication"],
    responses=_COOKIE_ERRORS,
    opt=_BUCKET,
)
async def sign_wallet_in(
    request: Request[Any, Any, Any],
    settings: SettingsDep,
    sessions: SessionsDep,
    sign_in_store: SignInStoreDep,
    request_limits: RequestLimitsDep,
    data: JSONBody[SignInRequest],
) -> Response[SignedIn]:
    """Sign in with the signed text: start a session and get its tokens.

    An attempt consumes the text's nonce, whether it succeeds or not. With `cookies` the tokens are
    set as cookies that no script can read.
    """
    sessions.require_available()
    if data.cookies:
        cookies.require_own_page(dict(request.scope["headers"]), sign_in.page_origins(settings))
    wallet = identifiers.wallet(data.wallet)
    signature = identifiers.signature(data.signature)
    nonce = sign_in.nonce_of(data.message)
    issued = await sign_in_store.take_nonce(wallet, nonce)
    sign_in.require_sign_in(data.message, signature, wallet, issued, settings)
    # Only what the wallet has signed counts for it, so that others cannot lock it out.
    await request_limits.charge(request.scope, BucketName.AUTH, wallet.hex())
    tokens = await sessions.start(
        sign_in_store,
        wallet,
        user_agent=request.headers.get("user-agent"),
        address=client_key(request.scope),
    )
    return _signed_in(tokens, as_cookies=data.cookies)


@post(
    "/api/auth/refresh",
    status_code=200,
    tags=["authentication"],
    responses=_COOKIE_ERRORS,
    security=[{"refresh": []}],
    opt=_BUCKET,
)
async def refresh_session(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    settings: SettingsDep,
    sessions: SessionsDep,
    data: JSONBody[RefreshRequest | None] = None,
) -> Response[SignedIn]:
    """Exchange a refresh token for a new access token and the next refresh token.

    A refresh token is good for one exchange; one that is exchanged again ends the session. Only
    within ten seconds the same successor is returned again, as to a client that lost the answer.
    """
    text = data.refresh_token if data is not None else None
    token = _refresh_token(request, settings, text)
    if token is None:
        raise _no_refresh_token("is required, in the body or as cookie")
    outcome = await database.write(token.wallet, lambda conn: sessions.refresh(conn, token))
    if isinstance(outcome, Refused):
        raise _no_refresh_token(outcome.reason, outcome.code)
    return _signed_in(outcome, as_cookies=text is None)


@post(
    "/api/auth/logout",
    status_code=200,
    tags=["authentication"],
    responses=_COOKIE_ERRORS,
    security=[{"refresh": []}],
    opt=_BUCKET,
)
async def sign_out(
    request: Request[Any, Any, Any],
    database: DatabaseDep,
    settings: SettingsDep,
    data: JSONBody[RefreshRequest | None] = None,
) -> Response[SignedOut]:
    """End the session of a refresh token and remove the cookies.

    The session's access token is refused within seconds. A token that is unknown, or whose session
    has ended, is answered alike.
    """
    text = data.refresh_token if data is not None else None
    token = _refresh_token(request, settings, text)
    if token is None:
        raise _no_refresh_token("is required, in the body or as cookie")

    def end(conn: Connection) -> None:
        session = accounts.session_of_token(conn, token.hash)
        if session is not None:
            accounts.end_session(conn, token.wallet, session, "logout")

    await database.write(token.wallet, end)
    removed = cookies.removed_cookies() if text is None else []
    return Response(SignedOut("Signed out"), cookies=removed)


def _refresh_token(
    request: Request[Any, Any, Any], settings: Settings, text: str | None
) -> RefreshToken | None:
    """Return the token of the body, else of the cookie; None without one.

    Raises:
        ApiError: 401 where it has not the form of one, 403 where the cookie does not count.
    """
    if text is None:
        headers = dict(request.scope["headers"])
        text = cookies.read_cookie(headers, cookies.REFRESH)
        if text is None:
            return None
        cookies.require_own_page(headers, sign_in.page_origins(settings))
    token = refresh_tokens.parse(text)
    if token is None:
        raise _no_refresh_token("is no refresh token of this service")
    return token


def _no_refresh_token(reason: str, code: ErrorCode = ErrorCode.REFRESH_TOKEN_INVALID) -> Exception:
    field = FieldError("refresh_token", reason)
    return unauthorized(f"refresh_token: {reason}", field, code=code)


def _signed_in(tokens: Tokens, *, as_cookies: bool) -> Response[SignedIn]:
    session = tokens.session
    text = tokens.refresh.text
    now = tokens.issued_at
    lifetime = int((tokens.access_expires_at - now).total_seconds())
    body = SignedIn(
        token_type="Bearer",  # noqa: S106 - the scheme's name
        access_token=None if as_cookies else tokens.access,
        expires_in=lifetime,
        access_expires_at=iso8601(tokens.access_expires_at),
        refresh_token=None if as_cookies else text,
        refresh_expires_at=iso8601(session.refresh_expires_at),
        csrf_token=session.csrf if as_cookies else None,
        session=str(session.id),
        session_expires_at=iso8601(session.expires_at),
        wallet=base58_key(session.wallet),
    )
    return Response(body, cookies=_cookies(tokens, now, lifetime) if as_cookies else [])


def _cookies(tokens: Tokens, now: datetime, lifetime: int) -> list[Cookie]:
    refresh_seconds = int((tokens.session.refresh_expires_at - now).total_seconds())
    return [
        cookies.token_cookie(cookies.ACCESS, tokens.access, lifetime),
        cookies.token_cookie(cookies.REFRESH, tokens.refresh.text, refresh_seconds),
    ]


HANDLERS = [get_sign_in_text, sign_wallet_in, refresh_session, sign_out]
