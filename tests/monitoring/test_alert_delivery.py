"""Alerts posted to a real HTTP server: the right ones, once, and the address nowhere."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import dagster as dg
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, select

from assets.defs.sensors.alert_webhook import alert_sensor
from assets.defs.sensors.run_alerts import run_failure_sensor
from assets.resources import Backend
from tests.fixtures.ports import free_port
from zmart_pipelines.monitoring.alert_delivery import (
    Backoff,
    DeliveryReport,
    count_unposted,
    post_alerts,
)
from zmart_pipelines.monitoring.alerts import AlertKey, clear_alert, raise_alert
from zmart_pipelines.runtime.temporary_postgres import login_settings, role_engine
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role
from zmart_pipelines.store.tables.ops import alerts

SECRET = "T0000-B0000-geheim"


class Slack:
    """Takes messages; answers with ``status`` and ``headers`` as they are set."""

    def __init__(self) -> None:
        self.received: list[Any] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["Content-Type"] == "application/json"
                assert self.path == f"/services/{SECRET}"
                if outer.status < 300:
                    outer.received.append(json.loads(body))
                self.send_response(outer.status)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.address = SecretStr(f"http://127.0.0.1:{self._server.server_port}/services/{SECRET}")

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def texts(self) -> list[str]:
        assert all(set(one) == {"text"} for one in self.received)
        return [one["text"] for one in self.received]


@pytest.fixture
def slack() -> Iterator[Slack]:
    made = Slack()
    yield made
    made.close()


@pytest.fixture
def pool(database: str) -> Iterator[Engine]:
    made = role_engine(Role.PIPELINES, database)
    yield made
    made.dispose()


def raised(pool: Engine, key: str, severity: Any = "high", message: str = "it fails") -> None:
    with pool.begin() as conn:
        raise_alert(conn, AlertKey(key), severity, message)


def test_severe_alerts_are_posted_once(pool: Engine, slack: Slack) -> None:
    raised(pool, "a", "critical", "<script> & more")
    raised(pool, "b", "medium")
    raised(pool, "c")
    with pool.begin() as conn:
        clear_alert(conn, AlertKey("c"))
        assert count_unposted(conn) == 1
    assert post_alerts(pool, slack.address) == DeliveryReport(("a",))
    first = slack.texts[0].splitlines()
    assert first[0] == "*critical*: &lt;script&gt; &amp; more"
    assert first[1].startswith("a, since 20")
    assert first[1].endswith(" UTC")
    # Seen again it is the same alert; cleared and raised again it is another.
    raised(pool, "a", "critical", "still")
    assert post_alerts(pool, slack.address) == DeliveryReport(())
    with pool.begin() as conn:
        clear_alert(conn, AlertKey("a"))
    raised(pool, "a", "critical", "again")
    assert post_alerts(pool, slack.address) == DeliveryReport(("a",))
    assert len(slack.received) == 2


def test_medium_alert_raised_to_critical_is_posted(pool: Engine, slack: Slack) -> None:
    raised(pool, "a", "medium")
    assert post_alerts(pool, slack.address).posted == ()
    raised(pool, "a", "critical")
    assert post_alerts(pool, slack.address).posted == ("a",)


def test_concurrent_posters_post_each_alert_once(pool: Engine, slack: Slack) -> None:
    for number in range(8):
        raised(pool, f"a{number}")
    threads = [threading.Thread(target=post_alerts, args=(pool, slack.address)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(text.splitlines()[1][:2] for text in slack.texts) == [f"a{n}" for n in range(8)]


def test_rejected_alert_is_posted_later(
    pool: Engine, slack: Slack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    raised(pool, "a")
    slack.status, slack.headers = 429, {"Retry-After": "30"}
    refused = post_alerts(pool, slack.address)
    assert refused == DeliveryReport((), "the alert webhook answered 429", 30.0)
    slack.status, slack.headers = 302, {"Location": "/elsewhere"}
    assert post_alerts(pool, slack.address).fault == "the alert webhook answered 302"
    gone = SecretStr(f"http://127.0.0.1:{free_port()}/services/{SECRET}")
    unreachable = post_alerts(pool, gone)
    assert unreachable.fault == "the alert webhook could not be reached: ConnectError"
    assert "reached" in str(post_alerts(pool, SecretStr(f"nonsense:{SECRET}")).fault)
    with pool.connect() as conn:
        assert conn.execute(select(alerts.c.posted_at)).scalar_one() is None
    slack.status = 204
    assert post_alerts(pool, slack.address).posted == ("a",)
    assert SECRET not in caplog.text


def test_backoff_grows_to_its_limit() -> None:
    failed = DeliveryReport((), "x")
    state, waits = Backoff(), []
    for _ in range(9):
        state = state.after(failed, 1000.0)
        waits.append(state.until - 1000.0)
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    assert Backoff(1).after(DeliveryReport((), "x", pause=90.0), 0.0).until == 90.0
    assert Backoff(1).after(DeliveryReport((), "x", pause=1e9), 0.0).until == 3600.0
    assert state.after(DeliveryReport(("a",)), 2000.0) == Backoff()


def test_failed_run_is_posted_to_the_alert_webhook(
    pool: Engine, database: str, slack: Slack, caplog: pytest.LogCaptureFixture
) -> None:
    """Run failure, alert row, webhook; with the webhook away the tick waits and tells."""
    caplog.set_level(logging.DEBUG)
    backend = Backend(Settings(**login_settings(database), alert_webhook_url=slack.address))

    @dg.op
    def breaks() -> None:
        raise ValueError("the reason")

    @dg.job(name="reconcile")
    def job() -> None:
        breaks()

    def tick(cursor: str | None) -> Any:
        return alert_sensor(dg.build_sensor_context(cursor=cursor, resources={"backend": backend}))

    with dg.DagsterInstance.ephemeral() as instance:
        failed = job.execute_in_process(instance=instance, raise_on_error=False)
        assert isinstance(tick(None), dg.SkipReason)
        run_failure_sensor(
            dg.build_run_status_sensor_context(
                sensor_name="run_failure_sensor",
                dagster_instance=instance,
                dagster_run=failed.dagster_run,
                dagster_event=failed.get_run_failure_event(),
                resources={"backend": backend},
            ).for_run_failure()
        )
    slack.status = 500
    refused = tick(None)
    assert isinstance(refused, dg.SensorResult)
    with pool.connect() as conn:
        rows = conn.execute(select(alerts)).all()
    assert {(row.topic, row.subject) for row in rows} == {
        ("run", "reconcile"),
        ("alert_delivery", None),
    }
    later = tick(refused.cursor)
    assert isinstance(later, dg.SkipReason)
    assert "next attempt in" in str(later.skip_message)
    slack.status = 200
    result = tick(None)
    assert isinstance(result, dg.SensorResult)
    assert slack.texts[0].startswith("*high*: A run of reconcile failed\nrun:reconcile, since ")
    assert isinstance(tick(result.cursor), dg.SkipReason)
    assert len(slack.received) == 1
    with pool.connect() as conn:
        cleared = conn.execute(
            select(alerts.c.cleared_at).where(alerts.c.topic == "alert_delivery")
        ).scalar_one()
    assert cleared is not None
    shown = [caplog.text, repr(backend.settings), str(refused.cursor), str(rows)]
    assert not any(SECRET in text for text in shown)


def test_without_an_address_nothing_is_posted(pool: Engine, database: str) -> None:
    raised(pool, "a")
    backend = Backend(Settings(**login_settings(database)))
    tick = alert_sensor(dg.build_sensor_context(resources={"backend": backend}))
    assert isinstance(tick, dg.SkipReason)
