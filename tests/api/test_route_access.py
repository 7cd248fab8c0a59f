"""Every route of the app, as every caller: who is let in and who is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from litestar import Litestar, get
from litestar.routes import HTTPRoute
from litestar.testing import TestClient
from sqlalchemy import Connection

from api.app import create_app
from tests.api import seed
from tests.api.route_access import (
    CALLERS,
    MARKET,
    OWNER,
    PRIVATE,
    ROUTES,
    WALLETS,
    Access,
    CallerName,
    World,
)
from tests.api.signing_in import session_of
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
            "operator": _key(conn, "desk", [service_keys.OPERATOR]),
            "key": _key(conn, "reports", ["read"]),
        }
        conn.exec_driver_sql(
            "INSERT INTO community.users (wallet) VALUES (%s)", (bytes(OWNER.pubkey()),)
        )
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        for name, wallet in WALLETS.items():
            headers[name] = session_of(client, wallet)
        yield World(client, owner, headers)
    owner.dispose()


def _key(conn: Connection, name: str, scopes: list[str]) -> dict[str, str]:
    key = service_keys.new_key()
    api_keys.create_key(
        conn,
        name=name,
        prefix=key[: service_keys.SHOWN],
        key_hash=service_keys.key_hash(key),
        scopes=scopes,
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
    if caller != "owner":
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
    found = tuple(found_status(world, route, access, caller) for caller in CALLERS)
    assert dict(zip(CALLERS, found, strict=True)) == dict(
        zip(CALLERS, access.statuses, strict=True)
    )
