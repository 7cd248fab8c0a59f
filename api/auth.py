"""Authentication: a wallet signs a fresh message.

Two carriers are accepted: the body's ``message``, ``signature``, ``wallet`` and the header
``Authorization: Signature message=<urlencoded>&signature=<base58>&wallet=<base58>``. Two
texts are accepted: one that contains ``Sign this message to authenticate with ZMART`` and a
time in milliseconds, and the two lines ``Sign in to ZMART``, ``Timestamp: <ms>``. The time
may differ from the server's by ``auth_window_seconds`` in either direction.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from litestar import Request

from api import identifiers
from api.errors import ApiError, FieldError, invalid
from api.request_bodies import SignedBody
from zmart_pipelines.voting.ballot import is_signed_by, parse_login_text

MAX_MESSAGE = 2048


class SignedMessage(msgspec.Struct, frozen=True):
    """A message, its signature (64 bytes) and the wallet (32 bytes) that claims to have signed."""

    message: str
    signature: bytes
    wallet: bytes


def unauthorized(message: str, *fields: FieldError) -> ApiError:
    """Return a 401 that names the accepted scheme."""
    return ApiError(401, message, *fields, headers={"WWW-Authenticate": "Signature"})


def read_signed_message(request: Request[Any, Any, Any], body: SignedBody) -> SignedMessage:
    """Return the signed message from the body's three fields or from the header.

    Raises:
        ApiError: 401 where there is none, 400 where a part is malformed.
    """
    message, signature, wallet = body.message, body.signature, body.wallet
    if message is None and signature is None and wallet is None:
        message, signature, wallet = _read_header(request.headers.get("authorization"))
    if message is None or signature is None or wallet is None:
        parts = {"message": message, "signature": signature, "wallet": wallet}
        absent = [name for name, value in parts.items() if value is None]
        raise unauthorized(
            f"Missing {', '.join(absent)}: sign a message with your wallet and send "
            "message, signature and wallet",
            *(FieldError(name, "is required") for name in absent),
        )
    if len(message) > MAX_MESSAGE:
        raise invalid("message", f"must not exceed {MAX_MESSAGE} characters")
    return SignedMessage(message, identifiers.signature(signature), identifiers.wallet(wallet))


def _read_header(header: str | None) -> tuple[str | None, str | None, str | None]:
    if header is None:
        return None, None, None
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "signature":
        raise unauthorized("Authorization must use the scheme Signature")
    parts = dict(parse_qsl(rest, keep_blank_values=True, max_num_fields=8))
    if any("\x00" in value for value in parts.values()):
        raise invalid("Authorization", "must not contain NUL characters")
    return parts.get("message"), parts.get("signature"), parts.get("wallet")


def verify_signature(signed: SignedMessage) -> None:
    """Raise ApiError 401 unless the wallet signed exactly this message."""
    if not is_signed_by(signed.message, signed.signature, signed.wallet):
        raise unauthorized(
            "The signature does not match the message and the wallet",
            FieldError("signature", "does not match the message and the wallet"),
        )


def check_freshness(message: str, window_seconds: int) -> None:
    """Raise ApiError 401 unless ``message`` is a sign-in text whose time is near the server's."""
    login = parse_login_text(message)
    if login is None:
        raise unauthorized(
            "message is not a ZMART sign-in text with a time in milliseconds",
            FieldError("message", "must be a ZMART sign-in text with a time in milliseconds"),
        )
    if abs(datetime.now(UTC) - login.signed_at) > timedelta(seconds=window_seconds):
        raise unauthorized(
            "message has expired",
            FieldError(
                "message", f"must have a time within {window_seconds} s of the server's time"
            ),
        )


def authenticate(request: Request[Any, Any, Any], body: SignedBody, window_seconds: int) -> bytes:
    """Return the wallet (32 bytes) that signed this request.

    Raises:
        ApiError: 401 where the proof is absent, expired or wrong, 400 where it is malformed.
    """
    signed = read_signed_message(request, body)
    check_freshness(signed.message, window_seconds)
    verify_signature(signed)
    return signed.wallet
