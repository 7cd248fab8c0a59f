"""A transaction that was only named comes into the ledger on the next tick."""

import dagster as dg
from solders.signature import Signature
from sqlalchemy import Engine

from assets.defs.sensors.ledger import delivery_sensor
from assets.resources import Backend
from tests.assets.life import Life
from tests.fixtures.localnet import StartLocalnet
from zmart_pipelines.chain.helius_enhanced import Hint
from zmart_pipelines.ledger.readers.deliveries import store_hint_delivery
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries.markets import counts_by_state


def test_hinted_transaction_is_read(
    start_localnet: StartLocalnet, database: str, owner: Engine
) -> None:
    life = Life.start(start_localnet(), database)
    life.propose()
    rows = life.chain.result(
        "getSignaturesForAddress", str(life.chain.program), {"commitment": "confirmed"}
    )
    hints = [Hint(bytes(Signature.from_string(row["signature"])), row["slot"]) for row in rows]
    backend = Backend(life.settings)
    with backend.engine(Role.INGEST).begin() as conn:
        store_hint_delivery(conn, b"[]", hints)
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance, resources={"backend": backend})
        reported = delivery_sensor(context)
        assert isinstance(reported, dg.SkipReason)
        assert f"{len(rows)} hints read" in (reported.skip_message or "")
    with owner.connect() as conn:
        assert counts_by_state(conn) == {0: 1}
