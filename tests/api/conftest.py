"""The app in this process, on a fresh database; and what clients sign with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine

from api.app import create_app
from tests.fixtures.ports import free_port
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role, engine

SECRET = "hook-" + "s" * 40


@pytest.fixture
def api_settings(database: str, redis_url: str, tmp_path: Path) -> Settings:
    """Settings of an API on a fresh database; no chain answers at its RPC address."""
    return Settings(
        database_url=database,
        redis_url=redis_url,
        zmart_state=tmp_path / "state",
        solana_rpc_url=f"http://127.0.0.1:{free_port()}",
        helius_webhook_secret=SECRET,
        api_port=free_port(),
        ws_port=free_port(),
        api_threads=4,
        rpc_timeout=1,
        ws_connections_per_ip=50,
    )


@pytest.fixture
def client(api_settings: Settings) -> Iterator[TestClient[Litestar]]:
    """A client of the app, which runs in this process."""
    with TestClient(create_app(api_settings), raise_server_exceptions=False) as made:
        yield made


@pytest.fixture
def ledger(database: str) -> Iterator[Engine]:
    """An engine that may write what the chain said."""
    made = engine(Role.INGEST, database)
    yield made
    made.dispose()
