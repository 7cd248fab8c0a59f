"""What a service's key permits by its scopes ``read`` and ``trade``, and for which wallet.

A session permits both for its wallet, so that a key beside it is not asked. Reads of public data
need no scope.
"""

from __future__ import annotations

from api.error_codes import ErrorCode
from api.errors import ApiError, FieldError
from api.identity.caller import Caller, Service, unauthorized
from zmart_pipelines.client_schemas.formats import base58_key
from zmart_pipelines.proofs import service_keys


def reading_wallet(caller: Caller) -> bytes:
    """Return the wallet (32 bytes) whose private rows the caller may read.

    It is the one that signed in, else the one that the caller's key belongs to.

    Raises:
        ApiError: 401 without either, 403 where the key lacks the scope ``read`` or has no wallet.
    """
    if caller.wallet is not None:
        return caller.wallet
    if caller.service is None:
        raise unauthorized(
            "Sign in with a wallet and send its access token, or send a key of the wallet with the"
            f" scope {service_keys.READ}"
        )
    _require_scope(caller.service, service_keys.READ)
    if caller.service.wallet is None:
        raise ApiError(
            403,
            "The key belongs to no wallet; create one by zmart keys create --wallet",
            code=ErrorCode.KEY_WALLET_MISMATCH,
        )
    return caller.service.wallet


def require_trading(caller: Caller, wallet: bytes, field: str) -> None:
    """Let a transaction of ``wallet`` be prepared or relayed for the caller.

    Callers without a key may, since a transaction is worth nothing without the wallet's signature.

    Args:
        caller: Who asks.
        wallet: Who signs the transaction and pays for it, 32 bytes.
        field: The request's name for it, for error messages.

    Raises:
        ApiError: 403 where the caller's key lacks the scope ``trade`` or belongs to another wallet.
    """
    service = caller.service
    if service is None or caller.wallet is not None:
        return
    _require_scope(service, service_keys.TRADE)
    if service.wallet is not None and service.wallet != wallet:
        reason = f"is not {base58_key(service.wallet)}, to which the key belongs"
        raise ApiError(
            403,
            f"{field}: {reason}",
            FieldError(field, reason),
            code=ErrorCode.KEY_WALLET_MISMATCH,
        )


def trading_wallet(caller: Caller) -> bytes | None:
    """Return the wallet for which the caller's session or key has transactions prepared, if any.

    Raises:
        ApiError: 403 where the caller has no session and a key without the scope ``trade``.
    """
    if caller.wallet is not None or caller.service is None:
        return caller.wallet
    _require_scope(caller.service, service_keys.TRADE)
    return caller.service.wallet


def _require_scope(service: Service, scope: str) -> None:
    if scope not in service.scopes:
        raise ApiError(403, f"The key lacks the scope {scope}", code=ErrorCode.SCOPE_MISSING)
