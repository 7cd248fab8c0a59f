"""Each quantity goes bad by its cause, on a real chain and a real database.

Time is given as an argument where minutes would have to pass; no quantity is ever written.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256

import pytest
from sqlalchemy import func, select

from tests.submissions.world import World
from tests.voting.world import wallet
from zmart_pipelines.breakers.endpoint_breakers import DatabaseGuard
from zmart_pipelines.breakers.policies import endpoint_policy
from zmart_pipelines.health.chain_tips import read_tips
from zmart_pipelines.health.health_alerts import update_health_alerts
from zmart_pipelines.health.measure import ServiceHealth, health
from zmart_pipelines.health.start import record_start
from zmart_pipelines.ledger.readers.confirmed_poll import poll_confirmed
from zmart_pipelines.ledger.readers.deliveries import process_delivery, store_delivery
from zmart_pipelines.ledger.readers.finalized_window import read_finalized_window
from zmart_pipelines.monitoring.work_health import START_SECONDS, QuantityHealth
from zmart_pipelines.runtime.temporary_postgres import login_settings, role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role, act_as
from zmart_pipelines.submissions import driver
from zmart_pipelines.submissions.due_markets import scan_due_markets
from zmart_pipelines.submissions.statuses import PROPOSAL_ACTIONS
from zmart_pipelines.submissions.switches import set_switch

RUNNING = timedelta(days=2)  # longer than every deadline


def measure(
    world: World,
    *,
    after: float = 0.0,
    on_chain: bool = True,
    settings: Settings | None = None,
) -> dict[str, ServiceHealth]:
    """Measure so many seconds from now, read only."""
    reader = role_engine(Role.READ, world.engine.url.render_as_string(hide_password=False))
    tips = read_tips(world.rpc) if on_chain else None
    try:
        with reader.connect() as conn:
            now: datetime = conn.execute(select(func.clock_timestamp())).scalar_one()
            later = now + timedelta(seconds=after)
            return health(conn, settings or world.settings, tips=tips, now=later)
    finally:
        reader.dispose()


def quantity(found: dict[str, ServiceHealth], service: str, name: str) -> QuantityHealth:
    return next(one for one in found[service].quantities if one.name == name)


def states(world: World, service: str, name: str, *times: float) -> list[str]:
    """The states of a quantity so many seconds from now, however long ago the start was."""
    return [quantity(measure(world, after=at), service, name).state for at in times]


@pytest.fixture(autouse=True)
def started(world: World) -> None:
    """The system has been up for long: its start does not excuse anything."""
    with world.engine.begin() as conn:
        conn.exec_driver_sql(
            "INSERT INTO ops.heartbeats (service, last_success_at, last_attempt_at)"
            " VALUES ('migrate', now() - %(up)s, now())",
            {"up": RUNNING},
        )


def read_ledger(world: World) -> None:
    poll = poll_confirmed(world.ingest, world.rpc, world.settings, seconds=30)
    assert poll.complete
    read_finalized_window(world.ingest, world.rpc, world.settings)


def test_ledger_falls_behind_while_nobody_reads_and_catches_up(world: World) -> None:
    world.fund(wallet(1))
    world.propose(1, wallet(1))
    world.chain.control.finalize()
    read_ledger(world)
    name = "event-indexer"
    lags = ("confirmed_lag_seconds", "finalized_lag_seconds")
    slots = ("confirmed_lag_slots", "finalized_lag_slots")
    assert {states(world, name, one, 0)[0] for one in (*lags, *slots)} == {"ok"}
    assert states(world, name, "confirmed_lag_seconds", 0, 61, 181) == ["ok", "degraded", "down"]
    assert states(world, name, "finalized_lag_seconds", 0, 121, 301) == ["ok", "degraded", "down"]
    world.chain.control.advance(slots=320)
    behind = measure(world)
    assert [quantity(behind, name, one).state for one in slots] == ["degraded", "degraded"]
    assert [quantity(behind, name, one).value for one in lags] != [None, None]
    world.chain.control.advance(slots=460)
    assert {quantity(measure(world), name, one).state for one in slots} == {"down"}
    # The tip is not known without the chain; the age still is.
    blind = measure(world, after=400, on_chain=False)
    assert [quantity(blind, name, one).value for one in slots] == [None, None]
    assert [quantity(blind, name, one).state for one in lags] == ["down", "down"]
    read_ledger(world)
    assert {states(world, name, one, 0)[0] for one in (*lags, *slots)} == {"ok"}


def test_confirmed_poll_alone_does_not_hide_the_finalized_lag(world: World) -> None:
    world.fund(wallet(1))
    world.propose(1, wallet(1))
    world.chain.control.finalize()
    read_ledger(world)
    world.chain.control.advance(slots=4_700)
    assert poll_confirmed(world.ingest, world.rpc, world.settings, seconds=30).complete
    found = measure(world)
    assert quantity(found, "event-indexer", "confirmed_lag_slots").value == 0
    finalized = quantity(found, "event-indexer", "finalized_lag_slots")
    assert finalized.value is not None
    assert finalized.value > 4_600
    assert found["event-indexer"].state == "down"


def test_passing_ballots_that_no_run_counts_grow_old(world: World) -> None:
    world.fund(wallet(1))
    market = world.propose(1, wallet(1))
    world.sync()
    world.vote(market, [True] * 9)
    service, due, intent = "vote-aggregator", "due_decision_seconds", "open_intent_seconds"
    assert quantity(measure(world, after=9_999), service, due).value == 0, "one ballot is missing"
    with world.engine.begin() as conn:
        scan_due_markets(
            conn,
            world.settings,
            actions=PROPOSAL_ACTIONS,
            chain_time=world.rpc.chain_clock("finalized").unix_timestamp,
            scanner="sensor",
        )
    world.vote(market, [True], first=10)
    assert states(world, service, due, 0, 61, 181) == ["ok", "degraded", "down"]
    found = quantity(measure(world, after=61), service, due)
    assert market.hex() in (found.cause or "")
    since = found.since
    # Neither scans nor further ballots make it younger.
    for first in (11, 12):
        with world.engine.begin() as conn:
            scanned = scan_due_markets(
                conn,
                world.settings,
                actions=PROPOSAL_ACTIONS,
                chain_time=world.rpc.chain_clock("finalized").unix_timestamp,
                scanner="sensor",
            )
        assert scanned.to_run == (market,)
        world.vote(market, [True], first=first)
        assert quantity(measure(world), service, due).since == since
    assert len(world.plan()) == 2
    assert quantity(measure(world, after=9_999), service, due).value == 0
    # An aggregation is as old as its decision, however late it was planned.
    aggregation = quantity(measure(world), service, intent)
    assert aggregation.since == since
    assert "aggregate_proposal_votes" in (aggregation.cause or "")
    assert states(world, service, intent, 0, 61, 301) == ["ok", "degraded", "down"]
    assert {one.status for one in world.drive().outcomes} == {"final"}
    assert states(world, service, intent, 9_999) == ["ok"]
    assert quantity(measure(world, after=9_999), service, due).state == "ok"


def test_intent_whose_transaction_cannot_land_grows_old(world: World) -> None:
    world.fund(wallet(1))
    market = world.propose(1, wallet(1))
    world.sync()
    world.vote(market, [True] * 10)
    world.plan()
    # No slot passes: the transaction is sent and never lands.
    driver.drive(world.engine, world.rpc, world.reader, world.signers, world.settings, seconds=2.0)
    found = quantity(measure(world, after=61), "vote-aggregator", "open_intent_seconds")
    assert found.state == "degraded"
    assert found.cause is not None
    assert "aggregate_proposal_votes) is live" in found.cause


def test_intent_that_a_kill_switch_stops_is_not_overdue(world: World) -> None:
    world.fund(wallet(1))
    market = world.propose(1, wallet(1))
    world.sync()
    world.vote(market, [True] * 10)
    with world.engine.begin() as conn:
        set_switch(conn, "all", enabled=False, reason="a drill")
    world.plan()
    world.drive(seconds=3.0)
    found = quantity(measure(world, after=9_999), "vote-aggregator", "open_intent_seconds")
    assert (found.state, found.detail["switched_off"]) == ("ok", 2)
    dry = world.settings.model_copy(update={"submissions_enabled": False})
    with world.engine.begin() as conn:
        set_switch(conn, "all", enabled=True)
    stopped = measure(world, after=9_999, settings=dry)
    assert quantity(stopped, "vote-aggregator", "open_intent_seconds").state == "ok"
    # Switched on, its time runs from now.
    assert states(world, "vote-aggregator", "open_intent_seconds", 0, 61) == ["ok", "degraded"]


def test_ended_window_that_no_run_finalizes_grows_old(world: World) -> None:
    creator = wallet(1)
    world.fund(creator)
    market = world.approve(1, creator)
    world.trade(market, creator)
    world.resolve(market, creator)
    world.sync()
    service, due = "market-monitor", "due_decision_seconds"
    assert quantity(measure(world), service, due).value == 0
    period = world.reader.config().value.dispute_period
    world.pass_time(period + 100)
    found = quantity(measure(world), service, due)
    assert found.state == "degraded", "by the chain's clock it ended 100 seconds ago"
    assert found.value == pytest.approx(100, abs=15)
    assert states(world, service, due, 100) == ["down"]
    world.plan({"finalize_market"})
    assert quantity(measure(world), service, due).value == 0
    finalization = quantity(measure(world), service, "open_intent_seconds")
    assert finalization.value == pytest.approx(100, abs=15)


def test_dispute_that_waits_for_an_operator_is_reported_and_not_overdue(world: World) -> None:
    creator, holder = wallet(1), wallet(2)
    world.fund(creator, holder)
    market = world.approve(1, creator)
    world.trade(market, creator, holder)
    world.resolve(market, creator)
    world.dispute(market, holder)
    world.sync()
    world.vote(market, [True], kind="dispute", first=2)
    world.settings = world.settings.model_copy(update={"min_dispute_votes": 2})
    world.pass_time(world.reader.config().value.dispute_period + 300)
    service, due = "market-monitor", "due_decision_seconds"
    assert quantity(measure(world), service, due).state == "down", "nobody has decided yet"
    assert world.plan({"finalize_market"}) == []
    found = quantity(measure(world), service, due)
    assert (found.state, found.detail["waiting_for_operators"]) == ("ok", 1)


def test_stored_delivery_that_nobody_ingests_grows_old(world: World) -> None:
    with world.ingest.begin() as conn:
        delivery = store_delivery(conn, b"[]", transaction_count=0)
    name = "delivery_seconds"
    assert states(world, "event-indexer", name, 0, 61, 601) == ["ok", "degraded", "down"]
    process_delivery(world.ingest, delivery, program=world.program)
    assert states(world, "event-indexer", name, 9_999) == ["ok"]


def test_relayed_transaction_that_comes_to_no_end_grows_old(world: World) -> None:
    name = "relayed_transaction_seconds"
    assert states(world, "pipelines", name, 9_999) == ["ok"]
    insert = (
        "INSERT INTO ops.relayed_transactions (signature, fee_payer, transaction, instructions,"
        " last_valid_block_height) VALUES (decode(repeat('07', 64), 'hex'), sha256('w'), 'x',"
        " '{buy_shares}', 1)"
    )
    with world.api.begin() as conn:
        act_as(conn, sha256(b"w").digest())
        conn.exec_driver_sql(insert)
    assert states(world, "pipelines", name, 0, 181, 601) == ["ok", "degraded", "down"]
    found = quantity(measure(world, after=181), "pipelines", name)
    assert found.cause is not None
    assert "is stored; 1 are open" in found.cause
    with world.engine.begin() as conn:
        conn.exec_driver_sql(
            "UPDATE ops.relayed_transactions SET state = 'expired', settled_at = now()"
        )
    assert states(world, "pipelines", name, 9_999) == ["ok"]


def test_endpoint_that_fails_opens_its_breaker_and_degrades(world: World) -> None:
    guard = DatabaseGuard(world.engine, endpoint_policy(world.settings))
    endpoint = "https://rpc.example"
    for _ in range(world.settings.breaker_endpoint_failures):
        ticket = guard.enter(endpoint)
        assert ticket is not None
        guard.failed(endpoint, ticket, "HTTP 500")
    found = quantity(measure(world), "event-indexer", "open_breakers")
    assert (found.value, found.state) == (1.0, "degraded")
    assert "HTTP 500" in (found.cause or "")
    assert quantity(measure(world), "vote-aggregator", "open_breakers").value == 0


def test_health_is_never_green_when_nothing_runs_any_more(world: World) -> None:
    world.chain.control.finalize()
    record_start(Settings(**login_settings(world.engine.url.render_as_string(hide_password=False))))
    assert measure(world)["event-indexer"].state == "starting", "nothing was read yet"
    read_ledger(world)
    assert measure(world)["event-indexer"].state == "ok"
    for after in range(61, 7_200, 60):
        states_then = {one.state for one in measure(world, after=after).values()}
        assert "degraded" in states_then or "down" in states_then
    assert "down" in {one.state for one in measure(world, after=181).values()}
    jobs = states(world, "pipelines", "job_overdue_seconds", 600, 901, 2_401)
    assert jobs == ["ok", "degraded", "down"]


def test_after_a_start_everything_is_starting_until_its_deadline(world: World) -> None:
    world.chain.control.finalize()
    read_ledger(world)
    world.chain.control.advance(slots=5_000)  # the machine was off for long
    assert measure(world, after=50_000)["event-indexer"].state == "down"
    record_start(Settings(**login_settings(world.engine.url.render_as_string(hide_password=False))))
    with world.engine.begin() as conn:  # and the ledger was read long before that
        conn.exec_driver_sql("UPDATE chain.cursors SET reached_at = reached_at - interval '1 day'")
    assert measure(world)["event-indexer"].state == "starting"
    assert measure(world, after=30)["event-indexer"].state == "starting"
    assert measure(world, after=61)["event-indexer"].state == "degraded"
    assert measure(world, after=START_SECONDS + 1)["event-indexer"].state == "down"


def test_alert_follows_the_state_and_is_cleared_with_its_cause(world: World) -> None:
    world.chain.control.finalize()
    read_ledger(world)

    def alerts(after: float) -> dict[str, str]:
        found = measure(world, after=after)
        with world.engine.begin() as conn:
            update_health_alerts(conn, [found["event-indexer"]], world.settings)
            rows = conn.exec_driver_sql(
                "SELECT subject, severity FROM ops.alerts"
                " WHERE topic = 'health' AND cleared_at IS NULL AND subject LIKE '%%lag_seconds'"
            )
            return {row.subject.removeprefix("event-indexer:"): row.severity for row in rows}

    assert alerts(0) == {}
    assert alerts(61) == {"confirmed_lag_seconds": "medium"}
    assert alerts(301) == {"confirmed_lag_seconds": "high", "finalized_lag_seconds": "high"}
    read_ledger(world)
    assert alerts(0) == {}


def lag_alert(world: World, service: str, name: str, after: float = 0.0) -> str | None:
    """The severity of a quantity's alert so many seconds from now; None: it is not open."""
    found = measure(world, after=after)
    with world.engine.begin() as conn:
        update_health_alerts(conn, [found[service]], world.settings)
        rows = conn.exec_driver_sql(
            "SELECT severity FROM ops.alerts WHERE topic = 'health' AND cleared_at IS NULL"
            " AND subject = %(subject)s",
            {"subject": f"{service}:{name}"},
        )
        return rows.scalar_one_or_none()


def test_indexing_lag_is_high_from_50_and_critical_from_100_slots(world: World) -> None:
    lag = ("event-indexer", "confirmed_lag_slots")
    world.chain.control.finalize()
    read_ledger(world)
    assert lag_alert(world, *lag) is None
    for slots, severity, begins in (
        (40, None, ""),
        (15, "high", "event-indexer: "),
        (50, "critical", "event-indexer: "),
        (400, "critical", "event-indexer is d"),
    ):
        world.chain.control.advance(slots=slots)
        assert lag_alert(world, *lag) == severity, slots
        if severity is not None:
            with world.engine.connect() as conn:
                found = conn.exec_driver_sql(
                    "SELECT message FROM ops.alerts WHERE subject LIKE '%%confirmed_lag_slots'"
                )
                assert found.scalar_one().startswith(begins), "no alert says that a service is ok"
    read_ledger(world)
    assert lag_alert(world, *lag) is None


def test_aggregation_lag_is_medium_then_high_and_critical_from_ten_minutes(world: World) -> None:
    lag = ("vote-aggregator", "due_decision_seconds")
    world.fund(wallet(1))
    market = world.propose(1, wallet(1))
    world.sync()
    world.vote(market, [True] * 10)
    severities = [lag_alert(world, *lag, after=after) for after in (30, 70, 310, 590, 610)]
    assert severities == [None, "medium", "high", "high", "critical"]
    world.plan()
    assert lag_alert(world, *lag, after=610) is None


def test_lag_after_a_start_raises_no_alert(world: World) -> None:
    world.chain.control.finalize()
    read_ledger(world)
    world.chain.control.advance(slots=120)
    record_start(Settings(**login_settings(world.engine.url.render_as_string(hide_password=False))))
    assert lag_alert(world, "event-indexer", "confirmed_lag_slots") is None
