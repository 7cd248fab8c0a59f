"""Health as clients see it: cheap, never stale, and watched without Dagster."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine, select

from api.app import create_app
from api.health_watch import HealthWatch
from api.metrics import RequestMetrics
from api.process_counts import ProcessCounts
from api.shared_reading import SharedReading
from tests.api.frozen import frozen
from tests.api.running_api import running
from tests.fixtures.alert_receivers import Slack
from zmart_pipelines.ledger.readers.deliveries import store_delivery
from zmart_pipelines.monitoring.work_health import SERVICES
from zmart_pipelines.runtime.ports import unused_port
from zmart_pipelines.runtime.temporary_postgres import login_settings, running_postgres
from zmart_pipelines.settings import Settings, Threshold
from zmart_pipelines.store.engine import login_engine
from zmart_pipelines.store.migrate import migrate
from zmart_pipelines.store.tables.ops import alerts

Client = TestClient[Litestar]

OLDER_FIELDS = {
    "status",
    "service",
    "deadline_seconds",
    "silent_seconds",
    "last_success_at",
    "last_attempt_at",
    "last_error_at",
    "detail",
    "timestamp",
}
# Far above what is expected, far below what a hang takes: the machine may be busy.
HANG = 45.0


def strict(settings: Settings, **more: object) -> Settings:
    """Settings under which a reader that never read is down a second after the start."""
    return settings.model_copy(update={"health_confirmed_lag_seconds": Threshold(1, 2), **more})


def test_liveness_needs_nothing_else(api_settings: Settings) -> None:
    away = f"postgresql://absent:absent@127.0.0.1:{unused_port()}/none"
    settings = Settings(**api_settings.model_dump() | dict.fromkeys(login_settings(away), away))
    with TestClient(create_app(settings)) as client:
        answer = client.get("/health/live")
        assert (answer.status_code, answer.json()["status"]) == (200, "alive")
        for path in ("/health", "/health/services", "/health/event-indexer"):
            assert client.get(path).status_code == 503, path


def test_health_follows_the_schema_within_seconds(client: Client, database: str) -> None:
    assert client.get("/health").status_code == 200
    login = login_engine(database)

    def becomes(status: int, migrations: str) -> None:
        deadline = time.monotonic() + HANG
        while (answer := client.get("/health")).status_code != status:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert answer.json()["migrations"] == migrations

    with login.begin() as conn:
        before = conn.exec_driver_sql("SELECT version_num FROM public.schema_version").scalar_one()
        conn.exec_driver_sql("UPDATE public.schema_version SET version_num = '9999_newer'")
    becomes(503, "behind")
    with login.begin() as conn:
        conn.exec_driver_sql(f"UPDATE public.schema_version SET version_num = '{before}'")
    becomes(200, "ok")
    login.dispose()


def test_requests_of_a_second_share_one_reading() -> None:
    started = threading.Semaphore(0)
    go_on = threading.Event()

    def read() -> int:
        started.release()
        go_on.wait(HANG)
        return 7

    async def ask() -> None:
        reading = SharedReading(read, fresh=HANG, deadline=HANG)
        found: list[int] = []

        async def one() -> None:
            found.append(await reading.get())

        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(one)
            await anyio.to_thread.run_sync(started.acquire)
            go_on.set()
        assert found == [7] * 50
        assert await reading.get() == 7
        assert not started.acquire(blocking=False), "it was read once"

    anyio.run(ask)


def test_reading_that_hangs_costs_each_request_no_more_than_the_deadline() -> None:
    go_on, threads = threading.Event(), threading.active_count()

    def read() -> bool:
        return go_on.wait(HANG)

    async def ask() -> None:
        reading = SharedReading(read, fresh=0.0, deadline=0.2)
        for _ in range(20):
            with pytest.raises(TimeoutError):
                await reading.get()
        assert threading.active_count() <= threads + 1, "only one reading hangs"
        go_on.set()
        deadline = time.monotonic() + HANG
        while True:
            try:
                assert await reading.get() is True
                break
            except TimeoutError:
                assert time.monotonic() < deadline
                await anyio.sleep(0.05)

    anyio.run(ask)


def test_failure_is_not_kept_longer_than_a_reading() -> None:
    answers: Iterator[RuntimeError | int] = iter([RuntimeError("away"), 7])

    def read() -> int:
        answer = next(answers)
        if isinstance(answer, RuntimeError):
            raise answer
        return answer

    async def ask() -> None:
        reading = SharedReading(read, fresh=0.0)
        with pytest.raises(RuntimeError, match="away"):
            await reading.get()
        assert await reading.get() == 7

    anyio.run(ask)


def test_frozen_postgres_is_a_503_in_time_and_recovers(
    api_settings: Settings, tmp_path: Path
) -> None:
    with running_postgres() as server:
        migrate(server.url())
        settings = Settings(**api_settings.model_dump() | login_settings(server.url()))
        with running(settings, tmp_path) as api:
            http = httpx.Client(base_url=api.url, timeout=HANG, trust_env=False)
            assert http.get("/health").status_code == 200
            with frozen(server):
                deadline = time.monotonic() + HANG
                # At most what was read in the last second is still green.
                while (answer := http.get("/health")).status_code == 200:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
                assert answer.json()["postgres"] == "down"
                for _ in range(5):
                    assert http.get("/health").status_code == 503
                    assert http.get("/health/services").status_code == 503
                    assert http.get("/health/live").status_code == 200
            deadline = time.monotonic() + HANG
            while http.get("/health").status_code != 200:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            http.close()


def test_services_keep_their_names_and_fields_and_show_their_quantities(
    api_settings: Settings, ledger: Engine
) -> None:
    with ledger.begin() as conn:
        store_delivery(conn, b"[]", transaction_count=0)
    with TestClient(create_app(strict(api_settings))) as client:
        deadline = time.monotonic() + HANG
        while (answer := client.get("/health/services")).status_code != 503:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        found = {row["service"]: row for row in answer.json()["services"]}
        assert answer.json()["status"] == "down"
        assert set(found) == set(SERVICES)
        assert {"event-indexer", "vote-aggregator", "market-monitor"} < set(found)
        for name, row in found.items():
            assert set(row) >= OLDER_FIELDS
            one = client.get(f"/health/{name}")
            assert one.status_code == (503 if row["status"] == "down" else 200)
            assert one.json()["status"] == row["status"]
        indexer = {row["name"]: row for row in found["event-indexer"]["quantities"]}
        lag = indexer["confirmed_lag_seconds"]
        assert (lag["status"], lag["degraded"], lag["down"]) == ("down", 1, 2)
        assert (lag["unit"], lag["cause"]) == ("seconds", "nothing was read yet")
        assert indexer["delivery_seconds"]["detail"]["waiting"] == 1
        assert indexer["delivery_seconds"]["since"] is not None
        assert found["event-indexer"]["deadline_seconds"] == 2
        assert client.get("/health/coffee-machine").status_code == 404


def test_watch_raises_and_posts_alerts_without_dagster(
    api_settings: Settings, ledger: Engine, slack: Slack
) -> None:
    """Two processes watch; nothing else runs. The alert is raised and posted once."""
    settings = strict(
        api_settings,
        alert_webhook_url=slack.address,
        alert_group_seconds=0,
        alert_interval_seconds=0,
    )
    first, second = (HealthWatch(settings, ProcessCounts(RequestMetrics())) for _ in range(2))

    async def watch() -> None:
        deadline = time.monotonic() + HANG
        while not slack.received:
            assert time.monotonic() < deadline
            await first.watch_once()
            await second.watch_once()

    anyio.run(watch)
    first.close()
    second.close()
    with ledger.connect() as conn:
        rows = conn.execute(select(alerts).where(alerts.c.topic == "health")).all()
    raised = {row.subject: row for row in rows}
    lag = raised["event-indexer:confirmed_lag_seconds"]
    assert (lag.severity, lag.cleared_at) == ("high", None)
    assert len(raised) == len(rows), "one row for each condition"
    assert (
        sum(
            "*: event-indexer is" in text and "confirmed_lag_seconds" in text
            for text in slack.texts
        )
        == 1
    )
