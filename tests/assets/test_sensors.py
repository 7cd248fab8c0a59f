"""Every sensor of ours, one tick at a time, on the real chain and the real Postgres."""

import time

import dagster as dg
import msgspec
import pytest
from sqlalchemy import Engine, select, text

from assets.definitions import build_defs
from assets.defs.sensors.external_writes import UNCHANGED_INTERVAL, ReportCursor
from assets.resources import Backend
from assets.sensor_ticks import Tick
from tests.assets.dagster_internals import (
    CachingStaleStatusResolver,
    LoadingContextForTest,
    StaleStatus,
)
from tests.assets.life import Life, run, slots_pass
from tests.fixtures.localnet import StartLocalnet
from zmart_pipelines.ledger.readers.deliveries import store_delivery
from zmart_pipelines.monitoring.alerts import AlertKey, open_alerts
from zmart_pipelines.runtime.ports import unused_port
from zmart_pipelines.runtime.temporary_postgres import login_settings
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries.markets import counts_by_state
from zmart_pipelines.store.tables import chain, ops


@pytest.fixture
def life(start_localnet: StartLocalnet, database: str) -> Life:
    chain = start_localnet("--finality-depth", "4", "--dispute-period", "60")
    return Life.start(chain, database)


@pytest.fixture
def backend(life: Life) -> Backend:
    return Backend(life.settings)


def tick(
    name: str, backend: Backend, instance: dg.DagsterInstance, cursor: str | None = None
) -> Tick:
    """One evaluation."""
    sensor = build_defs().resolve_sensor_def(name)
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, resources={"backend": backend}
    )
    result = sensor(context)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


def requests(result: Tick) -> int:
    return len(result.run_requests or []) if isinstance(result, dg.SensorResult) else 0


def requested(result: Tick) -> list[str | None]:
    found = result.run_requests or [] if isinstance(result, dg.SensorResult) else []
    return [request.job_name for request in found]


def events(result: Tick) -> dict[str, dg.AssetMaterialization]:
    if not isinstance(result, dg.SensorResult):
        return {}
    found = result.asset_events or []
    return {
        event.asset_key.to_user_string(): event
        for event in found
        if isinstance(event, dg.AssetMaterialization)
    }


def observations(result: Tick) -> dict[str, dg.AssetObservation]:
    assert isinstance(result, dg.SensorResult)
    assert events(result) == {}
    found = result.asset_events or []
    return {
        event.asset_key.to_user_string(): event
        for event in found
        if isinstance(event, dg.AssetObservation)
    }


def test_poll_finds_what_no_webhook_reported(
    life: Life, backend: Backend, instance: dg.DagsterInstance, owner: Engine
) -> None:
    life.propose()
    first = tick("confirmed_poll_sensor", backend, instance)
    assert isinstance(first, dg.SkipReason)
    assert "3 were missing" in (first.skip_message or "")
    with owner.connect() as conn:
        assert counts_by_state(conn) == {0: 1}
        beat = conn.execute(select(ops.heartbeats)).one()
    assert beat.service == "event-indexer"
    assert beat.detail["confirmed_slot"] > 0
    second = tick("confirmed_poll_sensor", backend, instance)
    assert isinstance(second, dg.SkipReason)
    assert "0 were missing" in (second.skip_message or "")


def test_unread_transactions_start_the_finalized_reader(
    life: Life, backend: Backend, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    life.propose()
    # No time to read anything: the node lists what the poll then leaves open.
    monkeypatch.setattr("assets.defs.sensors.ledger.POLL_SECONDS", -1.0)
    result = tick("confirmed_poll_sensor", backend, instance)
    assert requests(result) == 1


def test_external_writes_are_reported_once(
    life: Life, backend: Backend, instance: dg.DagsterInstance
) -> None:
    empty = tick("external_writes_sensor", backend, instance)
    assert events(empty) == {}
    market = life.propose()
    tick("confirmed_poll_sensor", backend, instance)
    life.vote(backend.engine(Role.API), market, likes=3)
    result = tick("external_writes_sensor", backend, instance, cursor="not a number")
    found = events(result)
    assert {key: event.metadata["New rows"].value for key, event in found.items()} == {
        "chain/event_ledger": 3,
        "market/state": 1,
        "market/trades": 0,
        "market/positions": 0,
        "market/claims": 0,
        "voting/proposal_tallies": 3,
    }
    ledger = found["chain/event_ledger"].metadata
    assert ledger["New rows"].value == 3
    assert "MarketCreated: 1" in str(ledger["Events by type"].value)
    assert "explorer.solana.com/tx/" in str(ledger["Signatures"].value)
    assert found["voting/proposal_tallies"].metadata["New rows"].value == 3
    assert isinstance(result, dg.SensorResult)
    again = tick("external_writes_sensor", backend, instance, cursor=result.cursor)
    assert events(again) == {}
    assert requests(again) == 0


def test_tables_are_observed_while_the_chain_is_polled(
    life: Life, backend: Backend, instance: dg.DagsterInstance, owner: Engine
) -> None:
    """What keeps them fresh while nothing happens on the chain, unless the poll stands still."""
    folded = {"market/state", "market/trades", "market/positions", "market/claims"}
    computed = {
        "market/candles",
        "market/market_statistics",
        "market/wallet_statistics",
        "market/pool_history",
        "market/wallet_hours",
        "market/leaderboards",
    }
    life.propose()
    tick("confirmed_poll_sensor", backend, instance)
    first = tick("external_writes_sensor", backend, instance)
    assert isinstance(first, dg.SensorResult)
    assert events(tick("external_writes_sensor", backend, instance, first.cursor)) == {}, (
        "reported just now"
    )
    last = ReportCursor.decode(first.cursor)
    assert last.until > 0
    assert time.time() - 60 < last.reported_at <= time.time()

    def later() -> dict[str, dg.AssetObservation]:
        waited = msgspec.structs.replace(last, reported_at=time.time() - UNCHANGED_INTERVAL - 1)
        return observations(tick("external_writes_sensor", backend, instance, waited.encode()))

    found = later()
    assert set(found) == folded, "the statistics are due"
    slot = found["market/state"].metadata["Verified to slot"].value
    assert slot == life.rpc.slot("confirmed")
    run("refresh_statistics", backend)
    assert set(later()) == folded | computed
    with owner.begin() as conn:
        conn.execute(text("UPDATE chain.cursors SET updated_at = now() - interval '2 min'"))
    assert later() == {}, "the chain is not being polled"


def test_tables_stay_fresh_when_their_source_is_read_again(
    life: Life, backend: Backend, instance: dg.DagsterInstance
) -> None:
    """What the UI marks as unsynced, after a report of the observer and a window run."""
    definitions = build_defs(resource_overrides={"backend": backend})

    def status(name: str = "state") -> StaleStatus:
        graph = definitions.resolve_asset_graph()
        resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
        return resolver.get_status(dg.AssetKey(["market", name]))

    def report() -> None:
        for event in events(tick("external_writes_sensor", backend, instance)).values():
            instance.report_runless_asset_event(event)

    def read() -> None:
        definitions.resolve_job_def("read_finalized_window").execute_in_process(instance=instance)

    life.propose()
    tick("confirmed_poll_sensor", backend, instance)
    report()
    assert status() is StaleStatus.FRESH
    life.chain.control.finalize()
    read()
    assert status() is StaleStatus.FRESH
    life.propose()
    life.chain.control.finalize()
    read()
    assert status() is StaleStatus.STALE, "the ledger has events that were not reported yet"
    report()
    assert status() is StaleStatus.FRESH
    # Statistics read rows that are reported only after them.
    life.propose()
    tick("confirmed_poll_sensor", backend, instance)
    definitions.resolve_job_def("refresh_statistics").execute_in_process(instance=instance)
    report()
    assert status("market_statistics") is StaleStatus.FRESH


def test_ledger_is_not_out_of_date_by_a_delivery(
    life: Life, backend: Backend, instance: dg.DagsterInstance, owner: Engine
) -> None:
    """Neither before the first delivery, nor by one that it already includes."""
    definitions = build_defs(resource_overrides={"backend": backend})
    ledger = dg.AssetKey(["chain", "event_ledger"])

    def causes() -> list[str]:
        graph = definitions.resolve_asset_graph()
        resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
        assert resolver.get_status(ledger) is not StaleStatus.MISSING
        return [cause.reason for cause in resolver.get_stale_root_causes(ledger)]

    cursor: str | None = None

    def report() -> None:
        nonlocal cursor
        result = tick("external_writes_sensor", backend, instance, cursor)
        assert isinstance(result, dg.SensorResult)
        cursor = result.cursor
        for event in events(result).values():
            instance.report_runless_asset_event(event)

    def deliver() -> None:
        (row,) = life.rpc.signatures_for_address(life.program, limit=1, commitment="confirmed")
        body = life.rpc.transaction(row.signature, "confirmed")
        assert body is not None
        with backend.engine(Role.INGEST).begin() as conn:
            store_delivery(conn, b"[" + body + b"]", transaction_count=1)
        job = definitions.resolve_job_def("process_deliveries")
        assert job.execute_in_process(instance=instance).success

    life.propose()
    tick("confirmed_poll_sensor", backend, instance)
    report()
    assert causes() == [], "no webhook ever"
    life.propose()
    deliver()
    report()
    assert causes() == []
    definitions.resolve_job_def("read_finalized_window").execute_in_process(instance=instance)
    deliver()
    assert causes() == [], "delivered once more"


def test_trades_and_claims_are_reported_separately(
    life: Life, backend: Backend, instance: dg.DagsterInstance
) -> None:
    market = life.propose()
    tick("confirmed_poll_sensor", backend, instance)
    life.chain.control.finalize()
    life.vote(backend.engine(Role.API), market)
    with slots_pass(life.chain):
        run("aggregate_votes", backend)
    life.activate(market)
    tick("confirmed_poll_sensor", backend, instance)
    before = tick("external_writes_sensor", backend, instance)
    assert isinstance(before, dg.SensorResult)
    for person in life.wallets[:3]:
        life.buy(market, person, outcome=True)
    tick("confirmed_poll_sensor", backend, instance)
    found = events(tick("external_writes_sensor", backend, instance, cursor=before.cursor))
    assert {key: event.metadata["New rows"].value for key, event in found.items()} == {
        "chain/event_ledger": 3,
        "market/state": 1,
        "market/trades": 3,
        "market/positions": 3,
        "market/claims": 0,
    }


def test_pending_delivery_gets_a_run(
    life: Life, backend: Backend, instance: dg.DagsterInstance, owner: Engine
) -> None:
    assert requests(tick("delivery_sensor", backend, instance)) == 0
    life.propose()
    signature = life.rpc.signatures_for_address(life.program, limit=1, commitment="confirmed")[
        0
    ].signature
    body = life.rpc.transaction(signature, "confirmed")
    assert body is not None
    with backend.engine(Role.INGEST).begin() as conn:
        store_delivery(conn, b"[" + body + b"]", transaction_count=1)
    assert requests(tick("delivery_sensor", backend, instance)) == 0, "the API is at it"
    with owner.begin() as conn:
        conn.execute(text("UPDATE chain.deliveries SET received_at = now() - interval '1 min'"))
    requested = tick("delivery_sensor", backend, instance)
    assert requests(requested) == 1
    assert isinstance(requested, dg.SensorResult)
    assert requests(tick("delivery_sensor", backend, instance, requested.cursor)) == 0
    done = run("process_deliveries", backend)["chain/deliveries"]
    assert done["Deliveries by result"].value == "- complete: 1"
    assert done["New events"].value == 1
    with owner.connect() as conn:
        assert conn.execute(select(chain.deliveries.c.status)).scalar_one() == "ingested"
    assert requests(tick("delivery_sensor", backend, instance)) == 0


def test_unreadable_delivery_does_not_hold_up_the_next(
    life: Life, backend: Backend, owner: Engine
) -> None:
    with backend.engine(Role.INGEST).begin() as conn:
        store_delivery(conn, b"not json", transaction_count=1)
        store_delivery(conn, b"[]", transaction_count=0)
    done = run("process_deliveries", backend)["chain/deliveries"]
    assert done["Deliveries by result"].value == "- complete: 1\n- unreadable: 1"
    with owner.connect() as conn:
        found = conn.execute(
            select(chain.deliveries.c.status).order_by(chain.deliveries.c.id)
        ).scalars()
        assert list(found) == ["failed", "ingested"]


def test_tally_over_the_threshold_gets_a_run(
    life: Life, backend: Backend, instance: dg.DagsterInstance
) -> None:
    market = life.propose()
    life.chain.control.finalize()
    tick("confirmed_poll_sensor", backend, instance)
    api = backend.engine(Role.API)
    life.vote(api, market, likes=9)
    assert requested(tick("submission_sensor", backend, instance)) == []
    life.vote(api, market, likes=3, skip=9)
    due = tick("submission_sensor", backend, instance)
    assert requested(due) == ["aggregate_votes"]
    assert isinstance(due, dg.SensorResult)
    assert requested(tick("submission_sensor", backend, instance, due.cursor)) == [], "just now"
    with slots_pass(life.chain):
        run("aggregate_votes", backend)
    tick("confirmed_poll_sensor", backend, instance)
    assert requested(tick("submission_sensor", backend, instance)) == []


def test_elapsed_dispute_window_gets_a_run(
    life: Life, backend: Backend, instance: dg.DagsterInstance, owner: Engine
) -> None:
    market = life.propose()
    life.chain.control.finalize()
    tick("confirmed_poll_sensor", backend, instance)
    life.vote(backend.engine(Role.API), market)
    with slots_pass(life.chain):
        run("aggregate_votes", backend)
    life.activate(market)
    life.resolve(market, outcome=True)
    tick("confirmed_poll_sensor", backend, instance)
    assert requested(tick("submission_sensor", backend, instance)) == []
    life.chain.control.advance(seconds=70)
    life.chain.control.finalize()
    assert requested(tick("submission_sensor", backend, instance)) == ["finalize_markets"]
    with slots_pass(life.chain):
        run("finalize_markets", backend)
    tick("confirmed_poll_sensor", backend, instance)
    assert requested(tick("submission_sensor", backend, instance)) == []
    with owner.connect() as conn:
        assert counts_by_state(conn) == {5: 1}
        services = set(conn.execute(select(ops.heartbeats.c.service)).scalars())
    assert services == {"event-indexer", "vote-aggregator", "market-monitor"}


@pytest.mark.parametrize(
    ("name", "services"),
    [
        ("confirmed_poll_sensor", {"event-indexer"}),
        ("submission_sensor", {"vote-aggregator", "market-monitor"}),
    ],
)
def test_unreachable_chain_skips_the_tick_and_is_recorded(
    name: str, services: set[str], database: str, instance: dg.DagsterInstance, owner: Engine
) -> None:
    settings = Settings(
        **login_settings(database),
        solana_rpc_url=f"http://127.0.0.1:{unused_port()}",
    )
    result = tick(name, Backend(settings), instance, cursor="kept")
    assert isinstance(result, dg.SkipReason)
    assert "The chain cannot be read" in (result.skip_message or "")
    with owner.connect() as conn:
        rows = conn.execute(select(ops.heartbeats)).all()
    assert {row.service for row in rows} == services
    for row in rows:
        assert row.last_success_at is None
        assert "RpcUnavailable" in row.last_error


@pytest.mark.parametrize(
    "name",
    [
        "delivery_sensor",
        "external_writes_sensor",
        "confirmed_poll_sensor",
        "submission_sensor",
        "relay_sensor",
        "alert_sensor",
    ],
)
def test_unreachable_database_skips_the_tick(
    name: str, start_localnet: StartLocalnet, instance: dg.DagsterInstance
) -> None:
    settings = Settings(
        **login_settings(f"postgresql://u:geheim@127.0.0.1:{unused_port()}/x"),
        solana_rpc_url=start_localnet().rpc_url,
    )
    result = tick(name, Backend(settings), instance, cursor="kept")
    assert isinstance(result, dg.SkipReason)
    assert "Postgres is unreachable" in (result.skip_message or "")
    assert "geheim" not in (result.skip_message or "")


def test_breaker_that_stays_open_raises_an_alert(
    backend: Backend, instance: dg.DagsterInstance, owner: Engine
) -> None:
    tick("alert_sensor", backend, instance)
    with owner.connect() as conn:
        assert open_alerts(conn) == []
    with owner.begin() as conn:
        conn.exec_driver_sql(
            "INSERT INTO ops.breakers (name, state, opened_at, wait_until, last_error) VALUES"
            " ('rpc:a.example', 'open', now() - interval '6 min', now(), 'HTTP 500')"
        )
    tick("alert_sensor", backend, instance)
    with owner.connect() as conn:
        assert open_alerts(conn) == [AlertKey("breaker", subject="rpc:a.example")]
