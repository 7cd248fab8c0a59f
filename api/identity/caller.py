"""Who sends a request: a wallet that signed in, a service with a key, or neither.

The outermost layer finds it out once (``api.identity.callers``), before limits and routes; handlers
take it as ``caller``.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any, Final
from uuid import UUID

import msgspec
from litestar.types import Scope

from api.error_codes import ErrorCode
from api.errors import ApiError, FieldError
from zmart_pipelines.proofs import service_keys

# The key of ``scope["state"]``.
_STATE: Final = "caller"
_CHALLENGE: Final = "Bearer"


class Service(msgspec.Struct, frozen=True):
    """Who has a key: its name and what it permits.

    Attributes:
        key_id: None for the setting's key.
        name: Of the service.
        scopes: What the key permits.
        wallet: The wallet that the key belongs to (32 bytes), if it acts for one.
    """

    key_id: int | None
    name: str
    scopes: frozenset[str]
    wallet: bytes | None = None

    @property
    def is_unlimited(self) -> bool:
        """Whether its requests are not limited."""
        return service_keys.UNLIMITED in self.scopes


class Caller(msgspec.Struct, frozen=True):
    """Who sends a request.

    Attributes:
        wallet: Address (32 bytes) of the wallet that signed in; None without a session.
        session: The wallet's session.
        service: The service whose key the request carries.
        is_operator: Whether operators' acts are permitted: the settings name the wallet, or the
            key has the scope.
    """

    wallet: bytes | None = None
    session: UUID | None = None
    service: Service | None = None
    is_operator: bool = False


ANONYMOUS: Final = Caller()


def bind(scope: MutableMapping[str, Any], caller: Caller) -> None:
    """Note who sends the request."""
    scope["state"][_STATE] = caller


def caller_of(scope: Mapping[str, Any]) -> Caller:
    """Return who sends the request; requests that carry no identity are anonymous."""
    found: Caller = scope["state"].get(_STATE, ANONYMOUS)
    return found


def provide_caller(scope: Scope) -> Caller:
    """Return the request's caller: the dependency ``caller``."""
    return caller_of(scope)


def unauthorized(
    message: str,
    *fields: FieldError,
    code: ErrorCode | None = None,
    challenge: str = _CHALLENGE,
) -> ApiError:
    """Return a 401 that names the accepted scheme."""
    return ApiError(401, message, *fields, code=code, headers={"WWW-Authenticate": challenge})


def require_wallet(caller: Caller) -> bytes:
    """Return the wallet (32 bytes) that signed in.

    Raises:
        ApiError: 401 where none did.
    """
    if caller.wallet is None:
        raise unauthorized("Sign in with a wallet and send its access token")
    return caller.wallet


def require_operator(caller: Caller) -> None:
    """Raise ApiError unless an operator calls: 401 without any identity, 403 with another."""
    if caller.is_operator:
        return
    if caller.wallet is None and caller.service is None:
        raise unauthorized(
            "Operators only: sign in with an operator's wallet, or send a key with the scope"
            f" {service_keys.OPERATOR}"
        )
    raise ApiError(403, "Operators only", code=ErrorCode.OPERATORS_ONLY)
