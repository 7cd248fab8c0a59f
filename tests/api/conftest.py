"""The app in this process, on a fresh database."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
import pytest
from litestar import Litestar
from litestar._openapi.plugin import OpenAPIPlugin
from litestar.openapi.spec import OpenAPI
from litestar.testing import TestClient
from litestar.testing.websocket_test_session import WebSocketTestSession
from litestar.utils.signature import ParsedSignature
from psycopg import sql
from sqlalchemy import Engine

from api.app import create_app
from api.openapi import completion
from api.rate_limit.route_buckets import RouteBuckets
from tests.api.chain_world import World
from tests.api.documented_messages import DocumentedMessages
from tests.fixtures.localnet import Localnet
from zmart_pipelines.runtime.ports import unused_port
from zmart_pipelines.runtime.postgres import SUPERUSER, PostgresServer
from zmart_pipelines.runtime.temporary_postgres import login_settings, role_engine
from zmart_pipelines.settings import Settings, Threshold
from zmart_pipelines.store.engine import Role

SECRET = "hook-" + "s" * 40
SIGNING_KEY = "k" * 43
_DAYS = Threshold(86_400, 2 * 86_400)


def settings_for(database: str, redis_url: str, state: Path) -> Settings:
    """Settings of an API on this database; no chain answers at its RPC address."""
    return Settings(
        **login_settings(database),
        redis_url=redis_url,
        zmart_state=state,
        solana_rpc_url=f"http://127.0.0.1:{unused_port()}",
        helius_webhook_secret=SECRET,
        auth_signing_key=SIGNING_KEY,
        api_port=unused_port(),
        ws_port=unused_port(),
        metrics_port=0,
        api_threads=4,
        rpc_timeout=1,
        api_database_seconds=30,
        api_chain_seconds=30,
        ws_connections_per_ip=50,
        ws_messages_per_minute=120,
        # Nothing is read here, and alerts of that would be frames among those of the tests.
        health_confirmed_lag_seconds=_DAYS,
        health_finalized_lag_seconds=_DAYS,
        health_job_overdue_seconds=_DAYS,
        webhook_answer_seconds=30,
        ws_heartbeat_seconds=3600,  # those who wait for one say so
    )


@pytest.fixture
def api_settings(database: str, redis_url: str, tmp_path: Path) -> Settings:
    """Settings on a fresh database."""
    return settings_for(database, redis_url, tmp_path / "state")


@pytest.fixture(scope="module")
def module_settings(
    postgres_server: PostgresServer,
    migrated_template: str,
    redis_url: str,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Settings]:
    """Settings on a database that the tests of one module share."""
    name = f"{request.module.__name__.rpartition('.')[2]}_{os.getpid()}"
    with psycopg.connect(postgres_server.url("postgres", SUPERUSER), autocommit=True) as admin:
        postgres_server.create_database(admin, name, template=migrated_template)
        url = postgres_server.url(name)
        yield settings_for(url, redis_url, tmp_path_factory.mktemp("state"))
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session", autouse=True)
def _received_messages_are_documented() -> Iterator[None]:
    """Check each message that a test receives by a socket."""
    receive = WebSocketTestSession.receive
    documented: list[DocumentedMessages] = []

    def receive_documented(self: WebSocketTestSession, *args: Any, **options: Any) -> Any:
        event = receive(self, *args, **options)
        if event["type"] == "websocket.send":
            if not documented:
                documented.append(DocumentedMessages())
            documented[0].check(json.loads(event.get("text") or event.get("bytes") or b""))
        return event

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WebSocketTestSession, "receive", receive_documented)
        yield


@pytest.fixture(scope="session", autouse=True)
def _apps_share_what_no_setting_changes() -> Iterator[None]:
    """Build the OpenAPI document and parse the handlers' signatures once for all apps.

    Both take longer than most tests, each of which has an app of its own.
    """
    complete, parse = completion.complete, ParsedSignature.from_fn
    documents: list[OpenAPI] = []
    signatures: WeakKeyDictionary[Any, ParsedSignature] = WeakKeyDictionary()

    def complete_once(app: Litestar, limits: RouteBuckets) -> None:
        if documents:
            app.plugins.get(OpenAPIPlugin)._openapi = documents[0]
        else:
            complete(app, limits)
            documents.append(app.openapi_schema)

    def parse_once(function: Any, signature_namespace: dict[str, Any]) -> ParsedSignature:
        if function not in signatures:
            signatures[function] = parse(function, signature_namespace)
        return signatures[function]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(completion, "complete", complete_once)
        patch.setattr(ParsedSignature, "from_fn", parse_once)
        yield


@pytest.fixture
def client(api_settings: Settings) -> Iterator[TestClient[Litestar]]:
    """A client of the app, which runs in this process."""
    with TestClient(create_app(api_settings), raise_server_exceptions=False) as made:
        yield made


@pytest.fixture
def ledger(database: str) -> Iterator[Engine]:
    """An engine of the ingesting role."""
    made = role_engine(Role.INGEST, database)
    yield made
    made.dispose()


@pytest.fixture
def world(api_settings: Settings, localnet: Localnet) -> Iterator[World]:
    """The API on a fresh chain."""
    settings = Settings(**api_settings.model_dump() | {"solana_rpc_url": localnet.rpc_url})
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        made = World(settings, localnet, client)
        yield made
        made.rpc.close()


@pytest.fixture
def owner(database: str) -> Iterator[Engine]:
    """The database as its owner, who sees what the API's logins may not."""
    made = role_engine(Role.OWNER, database)
    yield made
    made.dispose()
