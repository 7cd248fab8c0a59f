"""Every route of the app, as every caller: who is let in and who is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from litestar import Litestar, get
from litestar.routes import HTTPRoute
from litestar.testing import TestClient
from solders.keypair import Keypair
from sqlalchemy import Connection

from api.app import create_app
from tests.api import seed
from tests.api.route_access import (
    CALLERS,
    MARKET,
    OTHER,
    OWNER,
    PRIVATE,
    ROUTES,
    WALLETS,
    Access,
    CallerName,
    World,
)
from tests.api.signing_in import session_of
from tests.api.wallets import signed_in
from tests.relay.signed_transactions import create_market, text
from tests.relay.signed_transactions import signed as signed_transaction
from zmart_pipelines.proofs import service_keys
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role, engine
from zmart_pipelines.store.queries import api_keys


def routes_of(app: Litestar) -> set[str]:
    """Return every method and path that the app answers, but for OPTIONS."""
    return {
        f"{method} {route.path}"
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method in route.methods
        if method != "OPTIONS"
    }


@pytest.fixture(scope="module")
def world(module_settings: Settings) -> Iterator[World]:
    """The app on a database with one market."""
    # Every request of this module comes from one address.
    limits = {
        "rate_limit_anonymous": 0,
        "comments_per_wallet_hour": 1000,
        "comments_per_address_hour": 1000,
        "drafts_per_wallet_hour": 1000,
        "drafts_per_address_hour": 1000,
        "ballots_per_address_hour": 1000,
        "api_chain_seconds": 5,
    }
    settings = module_settings.model_copy(update=limits)
    owner = engine(Role.OWNER, settings)
    with owner.begin() as conn:
        seed.market(conn, MARKET, state=0)
        seed.position(conn, MARKET, OWNER)
        seed.question(
            conn,
            b"\xd0" * 32,
            f"Is {PRIVATE} a secret?",
            creator=bytes(OWNER.pubkey()),
            matched_at=None,
        )
        headers: dict[CallerName, dict[str, str]] = {
            "operator": _key(conn, "desk", service_keys.OPERATOR),
            "key": _key(conn, "indexer", service_keys.UNLIMITED),
            "reader": _key(conn, "reports", service_keys.READ, OWNER),
            "trader": _key(conn, "bot", service_keys.TRADE, OWNER),
        }
        conn.exec_driver_sql(
            "INSERT INTO community.users (wallet) VALUES (%s)", (bytes(OWNER.pubkey()),)
        )
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        for name, wallet in WALLETS.items():
            headers[name] = session_of(client, wallet)
        yield World(client, owner, headers)
    owner.dispose()


def _key(conn: Connection, name: str, scope: str, wallet: Keypair | None = None) -> dict[str, str]:
    key = service_keys.new_key()
    api_keys.create_key(
        conn,
        name=name,
        prefix=key[: service_keys.SHOWN],
        key_hash=service_keys.key_hash(key),
        scopes=[scope],
        wallet=None if wallet is None else bytes(wallet.pubkey()),
    )
    return {"X-Api-Key": key}


def found_status(world: World, route: str, access: Access, caller: CallerName) -> int:
    sent = access.request(world, caller)
    answer = world.client.request(
        route.partition(" ")[0],
        sent.path,
        json=sent.body,
        headers={**world.headers.get(caller, {}), **sent.headers},
        follow_redirects=False,
    )
    if caller not in ("owner", "reader"):
        assert PRIVATE not in answer.text
    return answer.status_code


def test_every_route_has_a_row(module_settings: Settings) -> None:
    assert routes_of(create_app(module_settings)) == set(ROUTES)


def test_route_without_a_row_is_noticed() -> None:
    @get("/api/new")
    async def new() -> None:
        """Answer nothing."""

    assert routes_of(Litestar([new], openapi_config=None)) - set(ROUTES) == {"GET /api/new"}


@pytest.mark.parametrize("route", ROUTES)
def test_callers_are_let_in_or_refused(world: World, route: str) -> None:
    access = ROUTES[route]
    found = {caller: found_status(world, route, access, caller) for caller in CALLERS}
    assert found == access.expected


def test_key_of_a_wallet_is_good_for_no_other(world: World) -> None:
    address = str(OTHER.pubkey())
    for path, body in (
        ("/api/transactions/prepare/claim", {"wallet": address, "market_id": MARKET.hex()}),
        (f"/api/actions/{MARKET.hex()}/claim", {"account": address}),
        (
            "/api/transactions",
            {"transaction": text(signed_transaction(OTHER, [create_market(OTHER, MARKET)]))},
        ),
        (
            "/api/trades/buy",
            {"market_id": MARKET.hex(), "outcome": True, "max_cost": seed.SOL} | signed_in(OTHER),
        ),
    ):
        answer = world.client.post(path, json=body, headers=world.headers["trader"])
        assert (answer.status_code, answer.json()["code"]) == (403, "key_wallet_mismatch"), path
        assert str(OWNER.pubkey()) in answer.json()["message"]


def test_missing_scope_is_named(world: World) -> None:
    drafts = world.client.get("/api/drafts", headers=world.headers["trader"])
    assert drafts.json()["message"] == "The key lacks the scope read"
    body = {"wallet": str(OWNER.pubkey()), "market_id": MARKET.hex()}
    prepared = world.client.post(
        "/api/transactions/prepare/claim", json=body, headers=world.headers["reader"]
    )
    assert prepared.json()["message"] == "The key lacks the scope trade"
    assert prepared.json()["code"] == "scope_missing"
