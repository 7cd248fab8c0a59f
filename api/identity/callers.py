"""Finds out who sends a request from what its headers carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from api.error_codes import ErrorCode
from api.identity.caller import ANONYMOUS, Caller, unauthorized
from api.identity.service_keys import ServiceKeys
from zmart_pipelines.proofs import service_keys

_KEY_PREFIX: Final = service_keys.PREFIX.encode()


class Callers:
    """What identifies the callers of one process."""

    def __init__(self, keys: ServiceKeys) -> None:
        self._keys = keys

    async def identify(self, headers: Mapping[bytes, bytes]) -> Caller:
        """Return who sends the request; anonymous where it carries nothing that identifies.

        Raises:
            ApiError: 401 where the request carries an identity that is not accepted, 503 where
                that cannot be found out.
        """
        key = _offered_key(headers)
        return ANONYMOUS if key is None else await self._by_key(key)

    async def _by_key(self, key: bytes) -> Caller:
        service = await self._keys.find(key)
        if service is None:
            raise unauthorized(
                "The service key is unknown or revoked; send a valid one, or none",
                code=ErrorCode.INVALID_API_KEY,
            )
        return Caller(service=service, is_operator=service_keys.OPERATOR in service.scopes)


def _offered_key(headers: Mapping[bytes, bytes]) -> bytes | None:
    """Return the service key of the request; other schemes of Authorization are not ours."""
    key = headers.get(b"x-api-key")
    if key is not None:
        return key.strip()
    authorization = headers.get(b"authorization")
    if authorization is None or authorization[:7].lower() != b"bearer ":
        return None
    token = authorization[7:].strip()
    return token if token.startswith(_KEY_PREFIX) else None
