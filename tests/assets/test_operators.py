"""Operators at the launchpad: resolve a market, throw a switch, prepare for the admin."""

import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dagster as dg
import pytest
from solders.message import to_bytes_versioned
from solders.transaction import VersionedTransaction
from sqlalchemy import Engine, select, text

from assets.definitions import build_defs
from assets.defs.sensors.submissions import submission_sensor
from assets.resources import Backend
from tests.assets.life import Life, Metadata, run, slots_pass
from tests.fixtures.localnet import Localnet
from tests.operations.world import acts
from zmart_pipelines.ipfs.pin_store import LocalPinStore
from zmart_pipelines.monitoring.alerts import AlertKey, open_alerts
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.runtime.temporary_postgres import role_engine
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables.ops import attempts

# Seconds; the lease of a run that holds it is waited for no longer than 45.
PATIENCE = 40.0
EVIDENCE = "Three exchanges closed above 200."


@pytest.fixture
def life(localnet: Localnet, database: str) -> Life:
    made = Life.start(localnet, database, wallets=13)
    keys = localnet.state / "keys"
    made.settings = made.settings.model_copy(update={"resolver_keypair": keys / "admin.json"})
    return made


@pytest.fixture
def backend(life: Life) -> Backend:
    return Backend(life.settings)


@pytest.fixture
def api(database: str) -> Iterator[Engine]:
    made = role_engine(Role.API, database)
    yield made
    made.dispose()


def launch(job: str, backend: Backend, config: dict[str, Any], asset: str) -> Metadata:
    """A run from the launchpad; the metadata of its materialization."""
    definitions = build_defs(resource_overrides={"backend": backend})
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_job_def(job).execute_in_process(
            instance=instance,
            run_config={"ops": {asset: {"config": config}}},
            raise_on_error=False,
        )
        if not result.success:
            failure = result.filter_events(lambda event: event.is_step_failure)[0]
            data = failure.step_failure_data.error
            raise dg.Failure(str(data.message) if data else "no reason")
    (found,) = [
        event.materialization
        if event.is_step_materialization
        else event.asset_observation_data.asset_observation
        for event in result.all_events
        if event.is_step_materialization or event.is_asset_observation
    ]
    return found.metadata


def traded(life: Life, api: Engine, backend: Backend) -> bytes:
    market = life.propose()
    life.chain.control.finalize()
    run("read_finalized_window", backend)
    life.vote(api, market)
    with slots_pass(life.chain):
        run("aggregate_votes", backend)
    life.chain.control.advance(2, seconds=2)
    life.activate(market)
    life.chain.control.advance(2, seconds=2)
    life.chain.control.finalize()
    return market


def table(value: Any) -> list[dict[str, Any]]:
    return [record.data for record in value.value.records]


def test_resolution_from_the_launchpad(
    life: Life, api: Engine, backend: Backend, owner: Engine
) -> None:
    market = traded(life, api, backend)
    wanted = {"market": market.hex(), "outcome": "yes", "evidence": EVIDENCE}
    with slots_pass(life.chain):
        shown = launch("resolve_market", backend, wanted, "market_resolutions")
    assert shown["Intents created"].value == 1
    (row,) = table(shown["Outcomes"])
    assert (row["action"], row["status"]) == ("resolve_market", "final")
    assert row["signature"] in str(shown["Signatures"].value)
    assert int(str(shown["Fees (lamports)"].value)) >= 5000
    assert int(str(shown["Compute units"].value)) > 0
    account = life.account(market)
    assert account.state == MarketState.RESOLVING
    assert account.proposed_outcome is True
    cid = str(shown["Evidence CID"].value)
    assert account.ipfs_evidence_hash == cid.encode()
    assert EVIDENCE.encode() in LocalPinStore(life.settings.zmart_state / "ipfs").get(cid)
    (act,) = acts(owner)
    assert (act.action, act.subject, act.dagster_user) == (
        "resolve_market",
        market.hex(),
        "launchpad",
    )
    assert act.details["evidence_cid"] == cid
    # Launched again it is the same; said otherwise it is refused in words.
    again = launch("resolve_market", backend, wanted, "market_resolutions")
    assert (again["Requested before"].value, again["Intents driven"].value) == ("yes", 0)
    for change, words in (
        ({"outcome": "NO"}, "already resolves it as YES"),
        ({"outcome": "perhaps"}, "neither YES nor NO"),
        ({"evidence": ""}, "evidence: must have"),
        ({"market": "here"}, "neither an id"),
    ):
        with pytest.raises(dg.Failure, match=words):
            launch("resolve_market", backend, wanted | change, "market_resolutions")
    with owner.connect() as conn:
        assert len(conn.execute(select(attempts).where(attempts.c.run_id.isnot(None))).all()) == 3


def test_resolution_does_not_wait_for_a_run_that_drives_something_else(
    life: Life, api: Engine, backend: Backend, owner: Engine
) -> None:
    """The run that holds the lease sends it; the operator's run reports it."""
    market = traded(life, api, backend)
    proposal = life.propose()
    life.chain.control.finalize()
    run("read_finalized_window", backend)
    life.vote(api, proposal)
    wanted = {"market": market.hex(), "outcome": "YES", "evidence": EVIDENCE}

    def senders(market_id: bytes) -> set[str]:
        with owner.connect() as conn:
            query = select(attempts.c.run_id).where(
                attempts.c.market_id == market_id, attempts.c.status.in_(("sent", "landed"))
            )
            return set(conn.execute(query).scalars())

    with ThreadPoolExecutor(2) as pool:
        # The chain stands still, so that this run cannot end.
        other = pool.submit(run, "aggregate_votes", backend)
        wait_until(lambda: senders(proposal))
        resolution = pool.submit(
            launch, "resolve_market", Backend(life.settings), wanted, "market_resolutions"
        )
        wait_until(lambda: senders(market))
        assert senders(market) == senders(proposal)
        with slots_pass(life.chain):
            shown = resolution.result(PATIENCE)
            other.result(PATIENCE)
    (row,) = table(shown["Outcomes"])
    assert (row["action"], row["status"]) == ("resolve_market", "final")
    assert row["signature"] in str(shown["Signatures"].value)
    assert shown["Refused"].value == "no"
    assert life.account(market).state == MarketState.RESOLVING


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_resolution_is_resumed_after_its_run_ended(
    life: Life, api: Engine, backend: Backend, owner: Engine
) -> None:
    """Switched off it is only simulated; switched on the sensor asks for the run that sends."""
    market = traded(life, api, backend)
    off = {"action": "resolve_market", "enabled": False, "reason": "first look at the evidence"}
    shown = launch("switch_submissions", backend, off, "switches")
    assert shown["Neither signed nor sent"].value == "- resolve_market"
    wanted = {"market": market.hex(), "outcome": "NO", "evidence": EVIDENCE}
    with slots_pass(life.chain):
        shown = launch("resolve_market", backend, wanted, "market_resolutions")
    assert (shown["Disabled by kill switch"].value, shown["Intents by status"].value) == (
        True,
        "- planned: 1",
    )
    assert life.account(market).state == MarketState.ACTIVE
    with owner.connect() as conn:
        assert AlertKey("switch", subject="resolve_market") in open_alerts(conn)
    on = {"action": "resolve_market", "enabled": True}
    launch("switch_submissions", backend, on, "switches")
    with owner.begin() as conn:
        conn.execute(text("UPDATE ops.intents SET retry_at = now() WHERE status = 'planned'"))
    with dg.DagsterInstance.ephemeral() as instance:
        tick = submission_sensor(
            dg.build_sensor_context(instance=instance, resources={"backend": backend})
        )
    assert isinstance(tick, dg.SensorResult)
    assert [request.job_name for request in tick.run_requests or []] == ["resolve_market"]
    with slots_pass(life.chain):
        launch("resolve_market", backend, {}, "market_resolutions")
    assert life.account(market).proposed_outcome is False
    with dg.DagsterInstance.ephemeral() as instance:
        assert isinstance(
            submission_sensor(
                dg.build_sensor_context(instance=instance, resources={"backend": backend})
            ),
            dg.SkipReason,
        )


def test_refused_switches_name_the_reason(database: str, life: Life, backend: Backend) -> None:
    for config, words in (
        ({"action": "finalize", "enabled": False, "reason": "x"}, "is not one of all"),
        ({"action": "all", "enabled": False}, "reason: say why"),
    ):
        with pytest.raises(dg.Failure, match=words):
            launch("switch_submissions", backend, config, "switches")
    shown = launch("switch_submissions", backend, {}, "switches")
    assert {row["enabled"] for row in table(shown["Kill switches"])} == {True}
    assert shown["Neither signed nor sent"].value == "none"


def test_transactions_for_the_admin(life: Life, api: Engine, backend: Backend) -> None:
    """Without the admin's key the approval is prepared, signed elsewhere, and lands."""
    life.settings = life.settings.model_copy(update={"admin_keypair": None})
    alone = Backend(life.settings)
    market = life.propose()
    life.chain.control.finalize()
    run("read_finalized_window", alone)
    life.vote(api, market)
    with slots_pass(life.chain):
        run("aggregate_votes", alone)
        life.chain.control.finalize()
        run("aggregate_votes", alone)
    assert life.account(market).state == MarketState.PROPOSED
    shown = launch("prepare_admin_transaction", alone, {}, "admin_transactions")
    assert shown["Prepared"].value == 1
    assert "12 likes and 0 dislikes on chain" in str(shown["1 approve"].value)
    unsigned = VersionedTransaction.from_bytes(b64decode(str(shown["1 approve transaction"].value)))
    key = life.chain.keys["admin"]
    signature = key.sign_message(to_bytes_versioned(unsigned.message))
    life.rpc.send(bytes(VersionedTransaction.populate(unsigned.message, [signature])))
    life.chain.control.advance()
    assert life.account(market).state == MarketState.APPROVED

    # The alert is still open; what it asks for is done.
    shown = launch("prepare_admin_transaction", alone, {}, "admin_transactions")
    assert shown["Prepared"].value == 0
    assert "APPROVED, not PROPOSED" in str(shown["Refused"].value)

    cancel = {"transaction": "cancel", "market": market.hex()}
    shown = launch("prepare_admin_transaction", alone, cancel, "admin_transactions")
    assert "cannot be undone" in str(shown["1 cancel"].value)
    update = {"transaction": "update-config", "values": {"dispute_period": 99}}
    shown = launch("prepare_admin_transaction", alone, update, "admin_transactions")
    assert "Changes dispute_period from 15 to 99." in str(shown["1 update-config"].value)
    for config, words in (
        ({"transaction": "unpause"}, "not paused already"),
        ({"transaction": "approve", "market": market.hex()}, "APPROVED, not PROPOSED"),
        ({"transaction": "steal"}, "not one of approve"),
    ):
        with pytest.raises(dg.Failure, match=words):
            launch("prepare_admin_transaction", alone, config, "admin_transactions")


def test_activations_are_an_asset_of_their_own(life: Life, api: Engine) -> None:
    life.settings = life.settings.model_copy(update={"auto_activate": True})
    backend = Backend(life.settings)
    market = life.propose()
    life.chain.control.finalize()
    run("read_finalized_window", backend)
    life.vote(api, market)
    with slots_pass(life.chain):
        run("aggregate_votes", backend)
        life.chain.control.finalize()
        run("read_finalized_window", backend)
        shown = run("aggregate_votes", backend)["submissions/market_activations"]
    (row,) = table(shown["Outcomes"])
    assert (row["action"], row["status"]) == ("activate_market", "final")
    assert life.account(market).state == MarketState.ACTIVE
