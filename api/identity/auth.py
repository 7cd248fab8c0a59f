"""Whether a wallet permits a request: by its session, or by a text that it signed.

A signed request carries ``message``, ``signature`` and ``wallet`` in its body or in the header
``Authorization: Signature message=<urlencoded>&signature=<base58>&wallet=<base58>``. A request that
carries any of these stands and falls with them, whatever session it has.

- What is prepared and not written is asked for by a session, by a wallet's key, or by a fresh
  sign-in text of older clients in either carrier.
- Writes are permitted by a session, by a text that names this write
  (``zmart_pipelines.proofs.request_text``) in either carrier, or by the sign-in text that older
  clients send in the body; each text serves one write.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec
from litestar import Request

from api.error_codes import ErrorCode
from api.errors import ApiError, FieldError, invalid
from api.identity import caller as callers
from api.identity import key_scopes
from api.identity.caller import Caller
from api.requests import identifiers
from api.requests.bodies import SignedBody
from zmart_pipelines.ipfs.canonical_json import NotCanonical, canonical_bytes
from zmart_pipelines.proofs import request_text
from zmart_pipelines.proofs.request_text import Action, Operation, Service
from zmart_pipelines.proofs.sign_in_text import SignInScheme, parse_sign_in
from zmart_pipelines.proofs.signatures import is_signed_by
from zmart_pipelines.settings import Settings

MAX_MESSAGE = 2048
MAX_HEADER_FIELDS = 8
# For how long older clients send the same text in the header, with reads.
OLDER_HEADER_AGE = timedelta(minutes=60)
HEADER = "Authorization"
# Where the text of an act is composed, if not by the route for all of them.
_OWN_TEXTS: dict[Action, str] = {
    "comment": "POST /api/discussions/message",
    "delete-comment": "GET /api/discussions/{discussion}/message",
    "draft": "POST /api/markets/message",
}


def where_to_sign(action: Action) -> str:
    """Return the method and path of the route that returns an act's text to sign."""
    return _OWN_TEXTS.get(action, "POST /api/messages")


class SignedMessage(msgspec.Struct, frozen=True):
    """A message, its signature (64 bytes) and the wallet (32 bytes) that claims to have signed.

    Attributes:
        in_header: They came in the header, not in the body.
    """

    message: str
    signature: bytes
    wallet: bytes
    in_header: bool


class AuthorizedWrite(msgspec.Struct, frozen=True):
    """A write that a wallet (32 bytes) permits.

    Attributes:
        wallet: Whose write it is.
        action: The kind of write.
        digest: What is done, 32 bytes; the same signature may only repeat it.
        address: The client's address.
        signature: Of the text that permits it (64 bytes); None where a session does.
        session: The session that permits it; None where a signed text does.
        expired: The error to answer with unless this is a repeat; None while the text is valid.
    """

    wallet: bytes
    action: Action
    digest: bytes
    address: str
    signature: bytes | None
    session: UUID | None
    expired: ApiError | None


class Sender(msgspec.Struct, frozen=True):
    """The wallet (32 bytes) that sends a read, and the signature that says so without a session."""

    wallet: bytes
    signature: bytes | None


def unauthorized(message: str, *fields: FieldError, code: ErrorCode | None = None) -> ApiError:
    """Return a 401 that names the scheme of signed requests."""
    return callers.unauthorized(message, *fields, code=code, challenge="Signature")


def _rejected(reason: str, code: ErrorCode = ErrorCode.SIGNATURE_INVALID) -> ApiError:
    """Return the 401 of a text that is not accepted."""
    return unauthorized(f"message: {reason}", FieldError("message", reason), code=code)


def _expired(reason: str) -> ApiError:
    return _rejected(reason, ErrorCode.SIGNATURE_EXPIRED)


def read_signed_message(request: Request[Any, Any, Any], body: SignedBody) -> SignedMessage:
    """Return the signed message from the body's three fields or from the header.

    Raises:
        ApiError: 401 where there is none, 400 where a part is malformed.
    """
    message, signature, wallet = body.message, body.signature, body.wallet
    in_header = message is None and signature is None and wallet is None
    if in_header:
        message, signature, wallet = _read_header(request)
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
    return SignedMessage(
        message, identifiers.signature(signature), identifiers.wallet(wallet), in_header
    )


def require_well_formed(body: SignedBody) -> None:
    """Raise ApiError 400 where a part of a proof that is not needed yet is malformed."""
    if body.signature is not None:
        identifiers.signature(body.signature)
    if body.wallet is not None:
        identifiers.wallet(body.wallet)


def _read_header(request: Request[Any, Any, Any]) -> tuple[str | None, str | None, str | None]:
    headers = request.headers.getall("authorization", [])
    if not headers:
        return None, None, None
    if len(headers) > 1:
        raise invalid(HEADER, "must be sent once")
    scheme, _, rest = headers[0].partition(" ")
    if scheme.lower() != "signature":
        raise unauthorized("Authorization must use the scheme Signature")
    try:
        fields = parse_qsl(rest, keep_blank_values=True, max_num_fields=MAX_HEADER_FIELDS)
    except ValueError as error:
        raise invalid(HEADER, f"must have at most {MAX_HEADER_FIELDS} fields") from error
    parts = dict(fields)
    if len(parts) < len(fields):
        raise invalid(HEADER, "must have each field once")
    if any("\x00" in value for value in parts.values()):
        raise invalid(HEADER, "must not contain NUL characters")
    return parts.get("message"), parts.get("signature"), parts.get("wallet")


def _verify_signature(signed: SignedMessage, settings: Settings) -> None:
    """Raise ApiError 401 unless the wallet signed exactly this message."""
    if not is_signed_by(signed.message, signed.signature, signed.wallet, bytes(settings.program)):
        raise unauthorized(
            "The signature does not match the message and the wallet",
            FieldError("signature", "does not match the message and the wallet"),
            code=ErrorCode.SIGNATURE_INVALID,
        )


def _expiry_of_sign_in(
    signed: SignedMessage, settings: Settings
) -> tuple[SignInScheme, ApiError | None]:
    """Return a sign-in text's scheme and, unless its time is near the server's, the 401.

    The text that older clients send in the header is sent for an hour.

    Raises:
        ApiError: 401 where it is not a sign-in text, or these are not accepted.
    """
    text = parse_sign_in(signed.message)
    if text is None:
        raise _rejected("must be a ZMART sign-in text with a time in milliseconds")
    if not settings.accept_older_signatures:
        raise _rejected("names no act and is not accepted; sign in by POST /api/auth/nonce")
    window = timedelta(seconds=settings.auth_window_seconds)
    is_header = signed.in_header and text.scheme == "login-header"
    age = datetime.now(UTC) - text.signed_at
    if not -window <= age <= (OLDER_HEADER_AGE if is_header else window):
        return text.scheme, _expired(
            f"must have a time within {window.seconds} s of the server's time"
        )
    return text.scheme, None


def carries_proof(request: Request[Any, Any, Any], body: SignedBody) -> bool:
    """Return whether the request carries a part of a signed text, in its body or header."""
    if any(part is not None for part in (body.message, body.signature, body.wallet)):
        return True
    scheme = request.headers.get("authorization", "").partition(" ")[0]
    return scheme.lower() == "signature"


def identify(
    request: Request[Any, Any, Any], body: SignedBody, settings: Settings, caller: Caller
) -> Sender:
    """Return for whom a request asks that prepares a transaction and writes nothing.

    It is the wallet that signed, else the one of the session, else that of the key. The caller of
    this also refuses signatures that have served a write
    (``api.identity.signed_requests``).

    Raises:
        ApiError: 401 where the proof is absent, expired or wrong, 400 where it is malformed, 403
            where the key does not permit it.
    """
    if not carries_proof(request, body):
        wallet = key_scopes.trading_wallet(caller)
        if wallet is not None:
            return Sender(wallet, None)
    signed = read_signed_message(request, body)
    _, expired = _expiry_of_sign_in(signed, settings)
    if expired is not None:
        raise expired
    _verify_signature(signed, settings)
    key_scopes.require_trading(caller, signed.wallet, "wallet")
    return Sender(signed.wallet, signed.signature)


async def authorize(
    request: Request[Any, Any, Any],
    body: SignedBody,
    settings: Settings,
    caller: Caller,
    action: Action,
    subject: str,
) -> AuthorizedWrite:
    """Return what permits this write: the text that the request carries, else the session.

    Raises:
        ApiError: 401 where neither is there, or the text is wrong or of another request; 400
            where it is malformed.
    """
    operation = await operation_of(request, action, subject)
    digest = _digest(request, operation)
    address = client_address(request)
    if caller.wallet is not None and not carries_proof(request, body):
        return AuthorizedWrite(
            wallet=caller.wallet,
            action=action,
            digest=digest,
            address=address,
            signature=None,
            session=caller.session,
            expired=None,
        )
    signed = read_signed_message(request, body)
    if request_text.is_request_text(signed.message):
        expired = _check_request_text(signed.message, operation, settings)
    else:
        expired = _check_older_text(signed, action, settings)
    _verify_signature(signed, settings)
    return AuthorizedWrite(
        wallet=signed.wallet,
        action=action,
        digest=digest,
        address=address,
        signature=signed.signature,
        session=None,
        expired=expired,
    )


def _digest(request: Request[Any, Any, Any], operation: Operation) -> bytes:
    content = {
        "action": operation.action,
        "subject": operation.subject,
        "body": operation.body,
        "key": request.headers.get("idempotency-key"),
    }
    return sha256(canonical_bytes(content)).digest()


async def operation_of(request: Request[Any, Any, Any], action: Action, subject: str) -> Operation:
    """Return what the request does, with the digest of its body as it was sent.

    Raises:
        ApiError: 400 where an integer of the body is not exact as a JSON number.
    """
    sent = await request.json() if await request.body() else None
    try:
        return Operation(action, subject, request_text.body_digest(sent or {}))
    except NotCanonical as error:
        raise invalid("body", "must not contain integers beyond 2^53 - 1") from error


def _check_request_text(message: str, operation: Operation, settings: Settings) -> ApiError | None:
    try:
        request_text.check(
            message,
            service=service_of(settings),
            operation=operation,
            now=datetime.now(UTC),
            ttl=timedelta(seconds=settings.auth_window_seconds),
        )
    except request_text.RequestExpired as error:
        return _expired(str(error))
    except request_text.RequestRejected as error:
        raise _rejected(f"{error}; {where_to_sign(operation.action)} returns it") from error
    return None


def _check_older_text(signed: SignedMessage, action: Action, settings: Settings) -> ApiError | None:
    """Check the sign-in text that older clients send with a write."""
    scheme, expired = _expiry_of_sign_in(signed, settings)
    if signed.in_header or scheme == "login-header":
        raise _rejected(
            "identifies the sender of a read only; sign the text that "
            f"{where_to_sign(action)} returns"
        )
    return expired


def service_of(settings: Settings) -> Service:
    """Return what the texts to sign name as this service."""
    return Service(settings.public_domain, bytes(settings.program), settings.solana_cluster)


def client_address(request: Request[Any, Any, Any]) -> str:
    """Return the client's IP address, by a trusted proxy's account where there is one."""
    return request.client.host if request.client else "unknown"
