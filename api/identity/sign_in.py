"""Sign-In With Solana: the text that a wallet signs, and what makes it a session."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any, Final

from litestar import Request

from api.error_codes import ErrorCode
from api.errors import ApiError, FieldError, invalid
from api.identity.caller import unauthorized
from zmart_pipelines.proofs import sign_in_with_solana
from zmart_pipelines.proofs.sign_in_with_solana import (
    MAX_VALIDITY,
    SignInExpired,
    SignInMessage,
    SignInRejected,
)
from zmart_pipelines.proofs.signatures import is_signed_by
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.queries import accounts

_NONCE_BYTES: Final = 16


def page_origins(settings: Settings) -> frozenset[str]:
    """Return the origins of the pages on which wallets may sign in."""
    return frozenset({*settings.origins, *settings.own_origins})


def requested_origin(request: Request[Any, Any, Any], settings: Settings) -> str:
    """Return the origin that the text to sign names: the page's, ours where no page asks.

    Wallets compare it with the page that shows the text, so that a foreign page cannot pass on a
    text of ours unnoticed.

    Raises:
        ApiError: 400 where the page may not call the API.
    """
    origin = request.headers.get("origin")
    if origin is None:
        return settings.public_origin
    if origin not in page_origins(settings):
        raise invalid(
            "Origin", "pages of this origin may not sign wallets in", code=ErrorCode.CORS_REFUSED
        )
    return origin


def new_message(wallet: bytes, origin: str, settings: Settings) -> SignInMessage:
    """Return the text for a wallet to sign now."""
    issued = datetime.now(UTC).replace(microsecond=0)
    return SignInMessage(
        wallet=wallet,
        origin=origin,
        chain=settings.solana_cluster,
        nonce=secrets.token_hex(_NONCE_BYTES),
        issued=issued,
        expires=issued + MAX_VALIDITY,
    )


def issued_nonce(message: SignInMessage) -> accounts.Nonce:
    """Return what is to be compared when the text comes back signed."""
    return accounts.Nonce(message.wallet, message.origin, message.issued, message.expires)


def nonce_of(message: str) -> str:
    """Return the nonce of a text that is still to be checked; raise ApiError 401 without one."""
    nonce = sign_in_with_solana.find_nonce(message)
    if nonce is None:
        raise _rejected("has no nonce; sign the text that POST /api/auth/nonce returns")
    return nonce


def require_sign_in(
    message: str, signature: bytes, wallet: bytes, nonce: accounts.Nonce | None, settings: Settings
) -> None:
    """Raise ApiError 401 unless the wallet signed the text for which the nonce was given out.

    Args:
        message: The text as it was signed.
        signature: 64 bytes.
        wallet: Who claims to have signed, 32 bytes.
        nonce: What the database had of the text's nonce, which is consumed by now.
        settings: Of this service.
    """
    if nonce is None:
        raise _rejected(
            "its nonce was used, has expired or was given to another wallet; ask for a new text",
            ErrorCode.NONCE_USED,
        )
    now = datetime.now(UTC)
    try:
        sign_in_with_solana.check(
            message,
            wallet=nonce.wallet,
            origin=nonce.origin,
            chain=settings.solana_cluster,
            issued=nonce.issued_at,
            now=now,
        )
    except SignInExpired as error:
        raise _rejected(str(error), ErrorCode.SIGNATURE_EXPIRED) from None
    except SignInRejected as error:
        raise _rejected(str(error)) from None
    if nonce.expires_at <= now:
        raise _rejected("has expired; ask for a new text", ErrorCode.SIGNATURE_EXPIRED)
    if not is_signed_by(message, signature, wallet, bytes(settings.program)):
        reason = "does not match the message and the wallet"
        raise unauthorized(
            f"The signature {reason}",
            FieldError("signature", reason),
            code=ErrorCode.SIGNATURE_INVALID,
        )


def _rejected(reason: str, code: ErrorCode = ErrorCode.SIGNATURE_INVALID) -> ApiError:
    return unauthorized(f"message: {reason}", FieldError("message", reason), code=code)
