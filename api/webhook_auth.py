"""Whose webhook deliveries are believed.

Helius sends back the value that its webhook was registered with, in Authorization; two are
accepted while one is being replaced. Older senders sign the body instead, where a key for
that is configured.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from pydantic import SecretStr

from api.errors import ApiError, FieldError
from zmart_pipelines.settings import Settings

SIGNATURE = b"x-helius-signature"
Headers = Iterable[tuple[bytes, bytes]]


def enabled(settings: Settings) -> bool:
    """Whether there is anybody who may deliver."""
    return bool(_accepted(settings)) or _key(settings) is not None


def by_value(headers: Headers, settings: Settings) -> bool:
    """Whether Authorization is there once, with an accepted value."""
    given = _only(headers, b"authorization") or b""
    # Every comparison is made, so that time tells nothing.
    matches = [hmac.compare_digest(given, accepted) for accepted in _accepted(settings)]
    return any(matches)


def may_sign(headers: Headers, settings: Settings) -> bool:
    """Whether it is worth reading the body: it is said to be signed, and we have a key."""
    return _key(settings) is not None and _only(headers, SIGNATURE) is not None


def by_signature(headers: Headers, body: bytes, settings: Settings) -> bool:
    """Whether x-helius-signature is the hex HMAC-SHA256 of the body as it came."""
    key, given = _key(settings), _only(headers, SIGNATURE)
    if key is None or given is None:
        return False
    expected = hmac.digest(key, body, "sha256").hex().encode()
    return hmac.compare_digest(given.lower(), expected)


def refusal() -> ApiError:
    """The answer to everybody else."""
    return ApiError(
        401,
        "Authorization is not the value that this webhook was registered with",
        FieldError("Authorization", "is missing or wrong"),
    )


def _only(headers: Headers, name: bytes) -> bytes | None:
    """The header's value where it is there exactly once."""
    given = [value for header, value in headers if header == name]
    return given[0] if len(given) == 1 else None


def _accepted(settings: Settings) -> list[bytes]:
    secrets: tuple[SecretStr | None, ...] = (
        settings.helius_webhook_secret,
        settings.helius_webhook_secret_previous,
    )
    return [value.encode() for item in secrets if item and (value := item.get_secret_value())]


def _key(settings: Settings) -> bytes | None:
    secret = settings.webhook_hmac_secret
    return (secret.get_secret_value().encode() or None) if secret is not None else None
