"""The protocol's parameters as the ledger knows them."""

from __future__ import annotations

from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine

from tests.api import seed
from zmart_pipelines.client_schemas.formats import chain_time


def test_parameters_are_those_of_the_last_change(
    client: TestClient[Litestar], owner: Engine
) -> None:
    unknown = client.get("/api/protocol")
    assert unknown.status_code == 404
    with owner.begin() as conn:
        seed.configuration(conn)
        changed = {"slot": 7, "signature": bytes([7]) * 64, "is_paused": True}
        seed.configuration(conn, **changed, protocol_fee_bps=250, dispute_period=2**63 - 1)
    found = client.get("/api/protocol").json()
    exact = found.pop("exact")
    assert exact == {"min_resolution_delay": "86400", "dispute_period": "9223372036854775807"}
    assert found == {
        "protocol_fee_bps": 250,
        "resolver_reward_bps": 200,
        "liquidity_provider_fee_bps": 500,
        "proposal_approval_threshold": 7000,
        "dispute_success_threshold": 6000,
        "min_resolution_delay": 86_400,
        "dispute_period": 2**63 - 1,
        "is_paused": True,
        "changed_at": chain_time(seed.CREATED),
        "slot": 7,
    }
