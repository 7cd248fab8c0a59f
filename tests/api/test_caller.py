"""Who calls, and what it may do."""

from __future__ import annotations

from uuid import UUID

import pytest

from api.errors import ApiError
from api.identity import caller
from api.identity.caller import ANONYMOUS, Caller, Service

WALLET = Caller(wallet=b"\x01" * 32, session=UUID(int=1))
OPERATOR = Caller(wallet=b"\x02" * 32, session=UUID(int=2), is_operator=True)


def with_key(*scopes: str) -> Caller:
    return Caller(
        service=Service(1, "reports", frozenset(scopes)), is_operator="operator" in scopes
    )


def status(refused: pytest.ExceptionInfo[ApiError]) -> tuple[int, str]:
    return refused.value.status, refused.value.code


def test_wallet_is_required() -> None:
    assert caller.require_wallet(WALLET) == b"\x01" * 32
    for other in (ANONYMOUS, with_key("operator")):
        with pytest.raises(ApiError) as refused:
            caller.require_wallet(other)
        assert status(refused) == (401, "unauthorized")
        assert refused.value.headers == {"WWW-Authenticate": "Bearer"}


def test_operators_are_wallets_or_keys() -> None:
    caller.require_operator(OPERATOR)
    caller.require_operator(with_key("operator"))
    for other in (WALLET, with_key("unlimited")):
        with pytest.raises(ApiError) as refused:
            caller.require_operator(other)
        assert status(refused) == (403, "operators_only")
    with pytest.raises(ApiError) as refused:
        caller.require_operator(ANONYMOUS)
    assert status(refused) == (401, "unauthorized")


def test_caller_belongs_to_one_request() -> None:
    one: dict[str, dict[str, object]] = {"state": {}}
    other: dict[str, dict[str, object]] = {"state": {}}
    caller.bind(one, WALLET)
    assert caller.caller_of(one) is WALLET
    assert caller.caller_of(other) is ANONYMOUS
