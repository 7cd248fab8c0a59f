"""Candles and statistics through Dagster: one run for all of them, when something changed."""

import dagster as dg
import pytest

from assets.definitions import build_defs
from assets.resources import Backend
from tests.assets.life import Life, run, slots_pass
from tests.fixtures.localnet import StartLocalnet
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.queries import candles, trades

JOB = "refresh_statistics"
ASSETS = {
    "market/candles",
    "market/market_statistics",
    "market/wallet_statistics",
    "market/pool_history",
    "market/wallet_hours",
    "market/leaderboards",
}


@pytest.fixture
def life(start_localnet: StartLocalnet, database: str) -> Life:
    return Life.start(start_localnet("--finality-depth", "4"), database)


@pytest.fixture
def backend(life: Life) -> Backend:
    return Backend(life.settings)


def tick(backend: Backend, instance: dg.DagsterInstance) -> object:
    """One evaluation of the schedule."""
    schedule = build_defs().resolve_schedule_def("refresh_statistics_schedule")
    context = dg.build_schedule_context(instance=instance, resources={"backend": backend})
    return schedule(context)


def proposed(life: Life, backend: Backend) -> bytes:
    market = life.propose()
    life.chain.control.finalize()
    run("read_finalized_window", backend)
    return market


def test_change_requests_one_run_for_all_assets(
    life: Life, backend: Backend, stored_instance: dg.DagsterInstance
) -> None:
    assert isinstance(tick(backend, stored_instance), dg.SkipReason)
    market = proposed(life, backend)
    requested = tick(backend, stored_instance)
    assert isinstance(requested, dg.RunRequest)
    assert requested.tags["zmart/due"] == "1"
    made = run(JOB, backend)
    assert set(made) == ASSETS
    for name, rows in {"candles": 0, "market_statistics": 1, "wallet_hours": 0}.items():
        values = made[f"market/{name}"]
        assert values["dagster/row_count"].value == rows
        assert values["Rows written"].value == rows
        assert values["Markets recomputed"].value == 1
    assert market.hex() in str(made["market/market_statistics"]["Busiest markets"].value)
    skipped = tick(backend, stored_instance)
    assert isinstance(skipped, dg.SkipReason)
    assert skipped.skip_message == "Nothing is due."
    assert run(JOB, backend) == {}, "nothing was due: observations only"


def test_trades_become_candles_and_statistics(life: Life, backend: Backend) -> None:
    market = proposed(life, backend)
    life.vote(backend.engine(Role.API), market)
    with slots_pass(life.chain):
        run("aggregate_votes", backend)
    life.activate(market)
    for number, person in enumerate(life.wallets[:3]):
        life.buy(market, person, outcome=number != 1)
    life.chain.control.finalize()
    run("read_finalized_window", backend)
    made = run(JOB, backend)
    with backend.engine(Role.READ).connect() as conn:
        rows = trades.find_trades(conn, market_id=market)
        (day,) = candles.candles_of_market(conn, market, "1d")
        wallets = candles.wallets_by_invested(conn)
    assert (day.trades, day.volume) == (3, sum(one.cost for one in rows))
    assert day.close == rows[0].price_yes
    assert {one.wallet for one in wallets} == {bytes(one.pubkey()) for one in life.wallets[:3]}
    assert all(one.open_value > 0 for one in wallets)
    shown = made["market/candles"]["Busiest market, 5-minute candles"].value
    assert str(day.close) in str(shown)
    assert made["market/wallet_statistics"]["dagster/row_count"].value == 3
    assert str(life.wallets[0].pubkey()) in str(
        made["market/wallet_statistics"]["Largest wallets"].value
    )


def test_everything_recomputes_all_markets(life: Life, backend: Backend) -> None:
    proposed(life, backend)
    run(JOB, backend)
    definitions = build_defs(resource_overrides={"backend": backend})
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_job_def(JOB).execute_in_process(
            instance=instance,
            run_config={"ops": {"market_statistics": {"config": {"everything": True}}}},
        )
    (event,) = result.asset_materializations_for_node("market_statistics")[:1]
    assert event.metadata["Markets recomputed"].value == 1
