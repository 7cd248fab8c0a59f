"""Who is asking: a wallet that signed a fresh message.

Two carriers are accepted: the body's ``message``, ``signature``, ``wallet`` and the header
``Authorization: Signature message=<urlencoded>&signature=<base58>&wallet=<base58>``. Two
texts are accepted: one that holds ``Sign this message to authenticate with ZMART`` and a
millisecond time, and ``Sign in to ZMART\\nTimestamp: <ms>``. The time may lie
``auth_window_seconds`` before or after ours.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from litestar import Request

from api import identifiers
from api.errors import ApiError, FieldError, invalid
from zmart_pipelines.voting.ballot import login_text, verify

MAX_MESSAGE = 2048


class Proof(msgspec.Struct, frozen=True):
    """A message with its signature (64 bytes) and the wallet (32 bytes) said to have made it."""

    message: str
    signature: bytes
    wallet: bytes


def unauthorized(message: str, *fields: FieldError) -> ApiError:
    """401 with the scheme that would do."""
    return ApiError(401, message, *fields, headers={"WWW-Authenticate": "Signature"})


def read_proof(
    request: Request[Any, Any, Any],
    message: str | None,
    signature: str | None,
    wallet: str | None,
) -> Proof:
    """The proof that the request carries, from its body's three fields or from its header.

    ApiError 401 where there is none, 400 where a part is malformed.
    """
    if message is None and signature is None and wallet is None:
        message, signature, wallet = _from_header(request.headers.get("authorization"))
    if message is None or signature is None or wallet is None:
        parts = {"message": message, "signature": signature, "wallet": wallet}
        absent = [name for name, value in parts.items() if value is None]
        raise unauthorized(
            f"{', '.join(absent)} missing: sign a message with your wallet and send all three",
            *(FieldError(name, "is missing") for name in absent),
        )
    if len(message) > MAX_MESSAGE:
        raise invalid("message", f"is longer than {MAX_MESSAGE} characters")
    return Proof(message, identifiers.signature(signature), identifiers.wallet(wallet))


def _from_header(header: str | None) -> tuple[str | None, str | None, str | None]:
    if header is None:
        return None, None, None
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "signature":
        raise unauthorized("Authorization must have the scheme Signature")
    parts = dict(parse_qsl(rest, keep_blank_values=True, max_num_fields=8))
    if any("\x00" in value for value in parts.values()):
        raise invalid("Authorization", "holds a NUL character")
    return parts.get("message"), parts.get("signature"), parts.get("wallet")


def verify_signature(proof: Proof) -> None:
    """ApiError 401 unless the wallet signed exactly this message."""
    if not verify(proof.message, proof.signature, proof.wallet):
        raise unauthorized(
            "The signature does not fit the message and the wallet",
            FieldError("signature", "does not fit the message and the wallet"),
        )


def check_fresh(message: str, window_seconds: int) -> None:
    """ApiError 401 unless ``message`` is one of the two texts and its time is near ours."""
    login = login_text(message)
    if login is None:
        raise unauthorized(
            "message is not a sign-in text of ZMART with a time in milliseconds",
            FieldError("message", "must be a sign-in text of ZMART with a time in milliseconds"),
        )
    if abs(datetime.now(UTC) - login.signed_at) > timedelta(seconds=window_seconds):
        raise unauthorized(
            "message has expired",
            FieldError("message", f"its time must be within {window_seconds} s of the server's"),
        )


def authenticate(
    request: Request[Any, Any, Any],
    message: str | None,
    signature: str | None,
    wallet: str | None,
    window_seconds: int,
) -> bytes:
    """The wallet (32 bytes) that signed in with this request; ApiError 401 or 400."""
    proof = read_proof(request, message, signature, wallet)
    check_fresh(proof.message, window_seconds)
    verify_signature(proof)
    return proof.wallet
