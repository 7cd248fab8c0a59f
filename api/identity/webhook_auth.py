"""Authenticate webhook deliveries.

Helius sends the value that its webhook was registered with in Authorization; two values are
accepted while one is being replaced. Older senders sign the body instead, if a key for that
is configured.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from pydantic import SecretStr

from api.errors import ApiError, FieldError
from zmart_pipelines.settings import Settings

SIGNATURE_HEADER = b"x-helius-signature"
Headers = Iterable[tuple[bytes, bytes]]


def enabled(settings: Settings) -> bool:
    """Return whether any sender can be authenticated."""
    return bool(_accepted_secrets(settings)) or _hmac_key(settings) is not None


def has_valid_secret(headers: Headers, settings: Settings) -> bool:
    """Return whether Authorization is present once, with an accepted value."""
    given = _single_header(headers, b"authorization") or b""
    # All comparisons are made, so that the time does not reveal which value matched.
    matches = [hmac.compare_digest(given, accepted) for accepted in _accepted_secrets(settings)]
    return any(matches)


def has_signature(headers: Headers, settings: Settings) -> bool:
    """Return whether the body is said to be signed and a key to verify it is configured."""
    return _hmac_key(settings) is not None and _single_header(headers, SIGNATURE_HEADER) is not None


def has_valid_signature(headers: Headers, body: bytes, settings: Settings) -> bool:
    """Return whether x-helius-signature is the hex HMAC-SHA256 of the body as received."""
    key, given = _hmac_key(settings), _single_header(headers, SIGNATURE_HEADER)
    if key is None or given is None:
        return False
    expected = hmac.digest(key, body, "sha256").hex().encode()
    return hmac.compare_digest(given.lower(), expected)


def unauthorized_sender() -> ApiError:
    """Return the 401 for senders that are not authenticated."""
    return ApiError(
        401,
        "Authorization must be the value that the webhook was registered with",
        FieldError("Authorization", "is missing or does not match"),
    )


def _single_header(headers: Headers, name: bytes) -> bytes | None:
    """Return the header's value if it is present exactly once."""
    given = [value for header, value in headers if header == name]
    return given[0] if len(given) == 1 else None


def _accepted_secrets(settings: Settings) -> list[bytes]:
    secrets: tuple[SecretStr | None, ...] = (
        settings.helius_webhook_secret,
        settings.helius_webhook_secret_previous,
    )
    return [value.encode() for item in secrets if item and (value := item.get_secret_value())]


def _hmac_key(settings: Settings) -> bytes | None:
    secret = settings.webhook_hmac_secret
    return (secret.get_secret_value().encode() or None) if secret is not None else None
