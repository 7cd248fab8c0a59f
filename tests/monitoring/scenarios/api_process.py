"""Scenarios of the API: its processes count, and the monitor judges the sums."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import text

from api.app import create_app
from tests.api.conftest import settings_for
from tests.api.private_sockets import greeted
from tests.api.test_discussion_snapshots import pruned_document
from tests.ipfs.gateway_server import running_gateway
from tests.monitoring.scenarios.stage import Stage, scenario
from zmart_pipelines.ipfs.cid import cid_v0
from zmart_pipelines.monitoring.alert_delivery import DeliveryReport
from zmart_pipelines.settings import Settings

HANG = 30.0
UNKNOWN_CID = cid_v0(b"never pinned")


@contextlib.contextmanager
def api(stage: Stage, **changes: Any) -> Iterator[TestClient[Litestar]]:
    """An API process that writes its counts ten times a second.

    It has no receivers, and leaves the outbox to the stage: one process at a time writes messages,
    and a call of the stage during one of its own would write nothing.
    """
    settings = settings_for(stage.database, stage.redis_url, stage.folder / "state")
    with stage.patch.context() as patch:
        patch.setattr("api.health_watch.WATCH_SECONDS", 0.1)
        patch.setattr("api.health_watch.deliver", lambda *_: DeliveryReport())
        with TestClient(
            create_app(Settings(**settings.model_dump() | changes)), raise_server_exceptions=False
        ) as client:
            yield client


def written(stage: Stage, condition: str) -> None:
    """Wait until the processes' counts are so."""
    statement = text(f"SELECT {condition} FROM ops.api_counts")
    deadline = time.monotonic() + HANG
    while True:
        with stage.engine.connect() as conn:
            if conn.execute(statement).scalar_one():
                return
        assert time.monotonic() < deadline, condition
        time.sleep(0.05)


@scenario("api_errors")
def dependency_is_away(stage: Stage) -> Iterator[None]:
    path = f"/api/discussions/ipfs/{UNKNOWN_CID}"
    with (
        running_gateway("error") as gateway,
        api(stage, ipfs_gateways=gateway.url) as client,
    ):
        for _ in range(60):
            client.get("/api/markets")
        for _ in range(3):
            assert client.get(path).status_code == 503
        written(stage, "sum(errors) = 3 AND sum(requests) = 63")
        stage.monitor()
        assert stage.open() == [], "less than 5 %"
        for _ in range(4):
            assert client.get(path).status_code == 503
        written(stage, "sum(errors) = 7 AND sum(requests) = 67")
        stage.monitor()
        yield
        gateway.mode = "file"
        assert client.get(path).status_code == 404
    stage.pass_time(360)
    stage.monitor()


@scenario("socket_drops")
def most_clients_are_lost(stage: Stage) -> Iterator[None]:
    limit = {"socket_drop_clients": 4}

    def pass_minutes(number: int, clients: int) -> None:
        """A process writes its counts in each minute."""
        for _ in range(number):
            written(stage, f"bool_or(clients = {clients} AND minute = date_trunc('minute', now()))")
            stage.pass_time(60)

    with api(stage) as client, contextlib.ExitStack() as sockets:
        for _ in range(4):
            sockets.enter_context(greeted(client))
        pass_minutes(3, clients=4)
        stage.monitor(**limit)
        assert stage.open() == [], "they are still there"
        sockets.close()
        with greeted(client):
            pass_minutes(2, clients=1)
            stage.monitor(**limit)
            yield
            pass_minutes(6, clients=1)
            stage.monitor(**limit)


@scenario("rate_limit_violations")
def client_does_not_wait(stage: Stage) -> Iterator[None]:
    limit = {"refused_requests_per_hour": 10}
    with api(stage, rate_limit_anonymous=5) as client:
        answers = [client.get("/api/markets").status_code for _ in range(15)]
        assert answers.count(429) >= 10
        written(stage, "sum(rate_limit_refusals) >= 10")
        stage.monitor(**limit)
        yield
    stage.pass_time(3_660)
    stage.monitor(**limit)


@scenario("ipfs_gateway")
def gateway_sends_other_bytes(stage: Stage) -> Iterator[None]:
    data = pruned_document(stage.database)
    path = f"/api/discussions/ipfs/{cid_v0(data)}"
    with running_gateway("wrong") as liar, running_gateway() as good:
        liar.files[cid_v0(data)] = good.files[cid_v0(data)] = data
        urls = {
            "ipfs_gateways": f"{liar.url}, {good.url}",
            "ipfs_gateway_ejection_seconds": 0.001,
        }
        with api(stage, **urls) as client:
            assert client.get(path).content == data
            yield
            liar.mode = "file"
            assert client.get(path).content == data
