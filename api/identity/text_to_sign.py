"""The text that a wallet signs for a write, as the API returns it."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

import msgspec

from api.identity.auth import service_of
from zmart_pipelines.client_schemas.formats import iso8601
from zmart_pipelines.proofs.request_text import Operation, RequestText
from zmart_pipelines.settings import Settings


class TextToSign(msgspec.Struct, frozen=True):
    """The text that a wallet signs, byte for byte, to permit one write; valid until `expires_at`.

    `body` is the SHA-256, in hex, of the write's body as canonical JSON (RFC 8785) without
    `message`, `signature` and `wallet`.
    """

    message: str
    action: str
    subject: str
    body: str
    nonce: str
    issued_at: str
    expires_at: str


def compose(operation: Operation, settings: Settings) -> TextToSign:
    """Return the text for this operation, valid from now for ``auth_window_seconds``."""
    issued = datetime.now(UTC).replace(microsecond=0)
    text = RequestText(
        service=service_of(settings),
        operation=operation,
        nonce=secrets.token_hex(8),
        issued=issued,
        expires=issued + timedelta(seconds=settings.auth_window_seconds),
    )
    return TextToSign(
        message=text.compose(),
        action=operation.action,
        subject=operation.subject,
        body=operation.body,
        nonce=text.nonce,
        issued_at=iso8601(text.issued),
        expires_at=iso8601(text.expires),
    )
