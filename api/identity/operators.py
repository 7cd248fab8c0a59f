"""Operators as the audit log names them."""

from __future__ import annotations

from api.identity.caller import Caller, require_operator
from zmart_pipelines.store.audit import Actor, ServiceActor, WalletActor


def operator_of(caller: Caller) -> Actor:
    """Return the operator who calls.

    Raises:
        ApiError: 401 or 403 as ``require_operator``.
    """
    require_operator(caller)
    if caller.wallet is not None:
        return WalletActor(caller.wallet)
    if caller.service is None:
        raise RuntimeError("an operator has a wallet or a service's key")
    return ServiceActor(caller.service.name, caller.service.key_id)
