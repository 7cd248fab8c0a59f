"""What the scopes of a key permit, and for which wallet.

``tests/api/route_access.py`` has every route with keys of each scope.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest

from api.errors import ApiError
from api.identity import key_scopes
from api.identity.caller import ANONYMOUS, Caller, Service
from zmart_pipelines.client_schemas.formats import base58_key
from zmart_pipelines.proofs.service_keys import OPERATOR, READ, SCOPES, TRADE, UNLIMITED

ALICE, BOB = b"\x01" * 32, b"\x02" * 32
SESSION = Caller(wallet=ALICE, session=UUID(int=1))


def with_key(*scopes: str, wallet: bytes | None = None, session: Caller = ANONYMOUS) -> Caller:
    service = Service(1, "bot", frozenset(scopes), wallet)
    return Caller(wallet=session.wallet, session=session.session, service=service)


def refusal(act: Callable[[], object]) -> ApiError:
    with pytest.raises(ApiError) as refused:
        act()
    return refused.value


def read(caller: Caller) -> bytes:
    return key_scopes.reading_wallet(caller)


def test_session_reads_and_trades_whatever_key_is_beside_it() -> None:
    for caller in (SESSION, with_key(session=SESSION), with_key(READ, wallet=BOB, session=SESSION)):
        assert read(caller) == ALICE
        assert key_scopes.trading_wallet(caller) == ALICE
        key_scopes.require_trading(caller, BOB, "wallet")


def test_read_is_for_the_keys_wallet() -> None:
    assert read(with_key(READ, wallet=ALICE)) == ALICE
    assert refusal(lambda: read(ANONYMOUS)).status == 401
    without = refusal(lambda: read(with_key(READ)))
    assert (without.status, without.code) == (403, "key_wallet_mismatch")


@pytest.mark.parametrize("scope", sorted({*SCOPES} - {READ}))
def test_other_scopes_do_not_read(scope: str) -> None:
    refused = refusal(lambda: read(with_key(scope, wallet=ALICE)))
    assert (refused.status, refused.code) == (403, "scope_missing")
    assert refused.message.endswith(READ)


def test_trade_is_for_the_keys_wallet_or_for_all() -> None:
    for caller in (ANONYMOUS, with_key(TRADE), with_key(TRADE, wallet=ALICE)):
        key_scopes.require_trading(caller, ALICE, "wallet")
    refused = refusal(
        lambda: key_scopes.require_trading(with_key(TRADE, wallet=ALICE), BOB, "account")
    )
    assert (refused.status, refused.code) == (403, "key_wallet_mismatch")
    assert refused.message.startswith("account: ")
    assert base58_key(ALICE) in refused.message
    assert [field.field for field in refused.fields] == ["account"]


@pytest.mark.parametrize("scope", [OPERATOR, READ, UNLIMITED])
def test_other_scopes_do_not_trade(scope: str) -> None:
    caller = with_key(scope, wallet=ALICE)
    for act in (
        lambda: key_scopes.require_trading(caller, ALICE, "wallet"),
        lambda: key_scopes.trading_wallet(caller),
    ):
        refused = refusal(act)
        assert (refused.status, refused.code) == (403, "scope_missing")
        assert refused.message.endswith(TRADE)


def test_wallet_of_a_trade_is_the_keys() -> None:
    assert key_scopes.trading_wallet(ANONYMOUS) is None
    assert key_scopes.trading_wallet(with_key(TRADE)) is None
    assert key_scopes.trading_wallet(with_key(TRADE, wallet=BOB)) == BOB
