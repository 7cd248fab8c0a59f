"""A market's life through the jobs, in process, on the real chain and the real Postgres."""

import pytest
from sqlalchemy import Engine, select

from assets.resources import Backend
from tests.assets.life import Life, run, slots_pass
from tests.fixtures.localnet import StartLocalnet
from zmart_pipelines.program.accounts import MarketState
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables.ops import attempts, heartbeats


@pytest.fixture
def life(start_localnet: StartLocalnet, database: str) -> Life:
    chain = start_localnet("--finality-depth", "4", "--dispute-period", "60")
    return Life.start(chain, database)


@pytest.fixture
def backend(life: Life) -> Backend:
    return Backend(life.settings)


def test_from_proposal_to_final_with_a_dispute(life: Life, backend: Backend, owner: Engine) -> None:
    api = backend.engine(Role.API)
    market = life.propose()
    life.chain.control.finalize()

    window = run("read_finalized_window", backend)
    assert window["chain/event_ledger"]["New transactions"].value == 3
    assert {"Slots behind", "Seconds behind"} <= set(window["chain/coverage"])
    assert window["chain/coverage"]["Uncovered ranges"].value == 0
    assert "explorer.solana.com" in str(window["chain/event_ledger"]["Signatures"].value)
    assert "MarketCreated: 1" in str(window["chain/event_ledger"]["Events by type"].value)

    life.vote(api, market, likes=11, dislikes=1)
    with slots_pass(life.chain):
        sent = run("aggregate_votes", backend)
    assert sent["voting/proposal_tallies"]["Ballots"].value == 12
    assert sent["voting/proposal_tallies"]["Over threshold"].value == 1
    aggregated = sent["submissions/proposal_aggregations"]
    assert aggregated["Intents final"].value == 1
    assert isinstance(aggregated["Fees (lamports)"].value, int)
    assert aggregated["Fees (lamports)"].value >= 5000
    assert isinstance(aggregated["Compute units"].value, int)
    assert aggregated["Compute units"].value > 1000
    assert "explorer.solana.com/tx/" in str(aggregated["Signatures"].value)
    assert sent["submissions/proposal_approvals"]["Intents final"].value == 1
    account = life.account(market)
    assert account.state == MarketState.APPROVED
    assert (account.proposal_likes, account.proposal_dislikes) == (11, 1)

    life.activate(market)
    for number, person in enumerate(life.wallets[:6]):
        life.buy(market, person, outcome=number % 2 == 0)
    life.resolve(market, outcome=True)
    life.dispute(market)
    life.chain.control.finalize()
    run("read_finalized_window", backend)
    life.vote(api, market, "dispute", likes=5, dislikes=1)
    with slots_pass(life.chain):
        early = run("finalize_markets", backend)
    assert set(early) == {"voting/dispute_tallies"}, "the vote has not ended"
    life.chain.control.advance(seconds=70)
    life.chain.control.finalize()
    with slots_pass(life.chain):
        ended = run("finalize_markets", backend)
    assert ended["voting/dispute_tallies"]["Ballots"].value == 6
    assert ended["submissions/market_finalizations"]["Intents final"].value == 1
    account = life.account(market)
    assert account.state == MarketState.FINALIZED
    assert account.final_outcome is False
    assert (account.dispute_agree, account.dispute_disagree) == (5, 1)

    with slots_pass(life.chain):
        again = run("finalize_markets", backend) | run("aggregate_votes", backend)
    assert [key for key in again if key.startswith("submissions/")] == [], "nothing was changed"
    with owner.connect() as conn:
        sent_ones = conn.execute(select(attempts.c.status, attempts.c.run_id)).all()
        services = set(conn.execute(select(heartbeats.c.service)).scalars())
    assert [row.status for row in sent_ones] == ["final"] * 3
    assert all(row.run_id for row in sent_ones)
    assert services == {"event-indexer", "vote-aggregator", "market-monitor"}


def test_damaged_projection_is_rebuilt(life: Life, backend: Backend, owner: Engine) -> None:
    market = life.propose()
    life.chain.control.finalize()
    run("read_finalized_window", backend)
    with owner.begin() as conn:
        conn.exec_driver_sql("UPDATE market.markets SET current_liquidity = 1")
    folded = run("rebuild_projection", backend)
    assert set(folded) == {"market/state", "market/positions", "market/claims", "market/trades"}
    assert folded["market/state"]["Markets corrected"].value == 1
    assert folded["market/state"]["dagster/row_count"].value == 1
    with owner.connect() as conn:
        stored = conn.exec_driver_sql("SELECT current_liquidity FROM market.markets").scalar_one()
    assert stored == life.account(market).current_liquidity


def test_reconciliation_finds_nothing_on_an_advancing_chain(life: Life, backend: Backend) -> None:
    life.propose()
    life.chain.control.finalize()
    with slots_pass(life.chain):
        report = run("reconcile", backend)["reconciliation/report"]
    assert report["Markets compared"].value == 1
    assert report["Actionable differences"].value == 0
    slot, covered = report["Slot"].value, report["Ledger complete to slot"].value
    assert isinstance(slot, int)
    assert isinstance(covered, int)
    assert covered >= slot
