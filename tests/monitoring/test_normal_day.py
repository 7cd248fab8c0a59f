"""A day without incidents makes fewer than five messages to operators.

Every alert of this day comes about as in a running system: from a chain with markets, failed runs,
an API that counts, and the rounds of planner, monitor, health and watchdog, which raise, close and
send. The day passes in steps: the chain's clock is advanced, and the rows become older.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

import dagster as dg
import pytest
from sqlalchemy import Engine, select, text

from assets.resources import Backend
from tests.api.private_sockets import greeted
from tests.assets.test_run_alerts import fail, job, run, succeed
from tests.monitoring.scenarios.api_process import api, written
from tests.monitoring.scenarios.stage import NEVER, Stage
from tests.monitoring.scenarios.system import watchdog
from tests.submissions.test_resolutions import draft, request, traded
from tests.voting.world import wallet
from zmart_pipelines.health.health_alerts import update_health_alerts
from zmart_pipelines.health.measure import health
from zmart_pipelines.health.watchdog import Watchdog
from zmart_pipelines.monitoring.alert_posters import posters
from zmart_pipelines.monitoring.breaker_alerts import update_breaker_alerts
from zmart_pipelines.monitoring.work_health import QUANTITIES
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.tables.ops import alerts
from zmart_pipelines.submissions.switches import set_switch

HOUR: Final = 60
# After an event every minute has its round, later one in so many.
CLOSELY, STEP = 6, 30
CLIENTS: Final = 4
REFUSALS: Final = 10
# There is no daemon and no sensor that reads, so that health would be down all day.
LIMITS: Final = {f"health_{one.name}": NEVER for one in QUANTITIES}
PACE: Final = ("alert_min_severity", "alert_group_seconds", "alert_interval_seconds")


class Day:
    """A day on a stage, by the minute."""

    def __init__(self, stage: Stage, dagster: Engine, settings: Settings) -> None:
        self.stage = stage
        self.world = stage.world
        self._dagster = dagster
        self._settings = settings
        self._watching = Watchdog(
            settings, posters(settings), pipelines=stage.engine, dagster=dagster
        )
        self._minute = 0
        self._event = -CLOSELY

    def until(self, minute: int) -> None:
        """Let time pass; an event follows."""
        while self._minute < minute:
            is_close = self._minute - self._event < CLOSELY
            step = min(1 if is_close else STEP, minute - self._minute)
            self.stage.pass_time(60 * step)
            self.world.pass_time(60 * step)
            self._minute += step
            self._decide()
        self._event = minute

    def _decide(self) -> None:
        """One round of everything that raises and closes alerts, and of what sends them."""
        if self.world.plan():
            self.world.drive()
            self.world.sync()
        self.stage.monitor(socket_drop_clients=CLIENTS, refused_requests_per_hour=REFUSALS)
        with self.stage.engine.begin() as conn:
            update_breaker_alerts(conn)
            found = health(conn, self._settings)
            update_health_alerts(conn, found.values(), self._settings)
        with self._dagster.begin() as conn:
            conn.execute(
                text("UPDATE dagster.daemon_heartbeats SET timestamp = now() AT TIME ZONE 'UTC'")
            )
        self._watching.watch_once()


@pytest.fixture
def day(stage: Stage) -> Iterator[Day]:
    """A day on which messages have their usual pace."""
    usual = {name: Settings.model_fields[name].get_default() for name in PACE}
    with watchdog(stage) as (_, dagster):
        yield Day(stage, dagster, stage.settings(**usual, **LIMITS))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_normal_day_makes_fewer_than_five_messages(day: Day) -> None:
    stage, world = day.stage, day.world
    first = traded(world)
    world.settings = world.settings.model_copy(
        update={"expected_resolvers": str(wallet(1).pubkey())}
    )
    second = world.approve(2, wallet(1))
    world.trade(second, wallet(1), wallet(1))
    world.propose(3, wallet(1))  # without votes
    world.pass_time(20 * 3_600)
    draft(world, first, world.rpc.chain_clock("finalized").unix_timestamp + 7 * 3_600)
    backend = Backend(stage.settings())
    with dg.DagsterInstance.ephemeral() as instance:

        def fails(name: str) -> None:
            fail(backend, instance, run(job(name, fails=True), instance))

        def succeeds(name: str) -> None:
            succeed(backend, instance, run(job(name, fails=False), instance))

        day.until(3 * HOUR)  # a run fails, and the next one ten minutes later does not
        fails("reconcile")
        day.until(3 * HOUR + 10)
        succeeds("reconcile")

        day.until(5 * HOUR)  # a market is resolved, and a holder disputes that
        world.resolve(second, wallet(1))
        day.until(5 * HOUR + 20)
        world.dispute(second, wallet(1))
        world.sync()
        world.vote(second, [True], kind="dispute")

        day.until(7 * HOUR + 50)  # the other market has ended; an operator resolves it
        request(world, first)
        world.drive()
        world.sync()

        day.until(10 * HOUR)  # an upgrade: its clients are disconnected
        with api(stage, rate_limit_anonymous=5, **LIMITS) as process:
            with contextlib.ExitStack() as sockets:
                for _ in range(CLIENTS):
                    sockets.enter_context(greeted(process))
                for minute in range(1, 4):
                    await_clients(stage, CLIENTS)
                    day.until(10 * HOUR + minute)
            await_clients(stage, 0)
            day.until(10 * HOUR + 4)
            await_clients(stage, 0)
            for minute in range(5, 8):
                day.until(10 * HOUR + minute)
                await_clients(stage, 0)

            day.until(12 * HOUR)  # a client does not wait
            refused = [process.get("/api/markets").status_code for _ in range(REFUSALS + 5)]
            assert refused.count(429) >= REFUSALS
            written(stage, f"sum(rate_limit_refusals) >= {REFUSALS}")

        day.until(14 * HOUR)  # an operator tries something
        with stage.engine.begin() as conn:
            set_switch(conn, "activate_market", enabled=False, reason="as on other days")
        day.until(18 * HOUR)
        with stage.engine.begin() as conn:
            set_switch(conn, "activate_market", enabled=True, reason="tried")
        day.until(24 * HOUR)

    with stage.engine.connect() as conn:
        rows = conn.execute(select(alerts.c.topic, alerts.c.subject, alerts.c.severity)).all()
    assert {(row.topic, row.subject) for row in rows} == {
        ("run", "reconcile"),
        ("socket_drops", None),
        ("resolution_due", None),
        ("proposal_review", None),
        ("rate_limit_violations", None),
        ("switch", "activate_market"),
    }
    assert len(rows) == 6, "each of them once"
    assert 0 < len(stage.slack.texts) < 5, stage.slack.texts
    assert len(stage.mail.received) == len(stage.slack.texts)
    reported = "\n".join(stage.slack.texts)
    for key in ("run:reconcile, since", "socket_drops, since"):
        assert key in reported, "no alert of high severity is kept back"
    with stage.engine.connect() as conn:
        still = conn.execute(select(alerts.c.topic).where(alerts.c.cleared_at.is_(None)))
        assert set(still.scalars()) == {"proposal_review"}


def await_clients(stage: Stage, number: int) -> None:
    """Wait until the API has written in this minute how many clients it has."""
    written(stage, f"bool_or(clients = {number} AND minute = date_trunc('minute', now()))")
