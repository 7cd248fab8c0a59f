"""The headers that say how current the tables are."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine, text

from api.app import create_app
from tests.fixtures.localnet import Localnet
from zmart_pipelines.chain.rpc import RpcClient
from zmart_pipelines.settings import Settings

AS_OF, LAG = "zmart-as-of-slot", "zmart-lag-slots"
WAIT_SECONDS = 60


def headers_with(client: TestClient[Litestar], names: set[str]) -> Mapping[str, str]:
    """Ask until exactly these of the two headers are present."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        headers = client.get("/api/markets").headers
        if {AS_OF, LAG} & set(headers) == names:
            return headers
        assert time.monotonic() < deadline, dict(headers)
        time.sleep(0.05)


def cover(ledger: Engine, slot: int) -> None:
    with ledger.begin() as conn:
        conn.execute(
            text(
                "INSERT INTO chain.cursors (name, slot) VALUES ('confirmed', :slot)"
                " ON CONFLICT (name) DO UPDATE SET slot = :slot"
            ),
            {"slot": slot},
        )


def test_slots_are_stated_once_they_are_known(
    api_settings: Settings, ledger: Engine, localnet: Localnet, tmp_path: Path
) -> None:
    settings = Settings.model_validate(
        api_settings.model_dump() | {"solana_rpc_url": localnet.rpc_url}
    )
    with RpcClient(localnet.rpc_url, 10) as rpc:
        tip = rpc.slot("confirmed")
    with TestClient(create_app(settings)) as client:
        assert AS_OF not in client.get("/api/markets").headers, "nothing was covered yet"
        cover(ledger, tip - 1)
        headers = headers_with(client, {AS_OF, LAG})
        assert (headers[AS_OF], headers[LAG]) == (str(tip - 1), "1")
        tag = headers["etag"]
        unchanged = client.get("/api/markets", headers={"If-None-Match": tag})
        assert unchanged.status_code == 304
        assert unchanged.headers[AS_OF] == str(tip - 1)
        # Another slot is another header, not another answer.
        cover(ledger, tip)
        while client.get("/api/markets").headers[AS_OF] != str(tip):
            time.sleep(0.05)
        assert client.get("/api/markets").headers["etag"] == tag
        for path in ("/health/live", "/no/such/route", "/api/markets?limit=nothing"):
            assert AS_OF not in client.get(path).headers


def test_lag_is_left_out_without_the_chain(api_settings: Settings, ledger: Engine) -> None:
    cover(ledger, 17)
    with TestClient(create_app(api_settings)) as client:
        assert headers_with(client, {AS_OF})[AS_OF] == "17"
