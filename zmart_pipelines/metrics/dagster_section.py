"""Dagster's runs and daemon, as its web server reports them.

The exporter has no login to Dagster's tables, whose only login may also change them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import httpx
import msgspec
from prometheus_client.metrics_core import Metric

from zmart_pipelines.metrics.families import gauge, gauges

STATUSES: Final = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING", "FAILURE")
_QUERY: Final = (
    "{"
    + " ".join(
        f"{status}: runsOrError(filter: {{statuses: [{status}]}}) {{ ... on Runs {{ count }} }}"
        for status in STATUSES
    )
    + " instance { daemonHealth { allDaemonStatuses {"
    " daemonType healthy required lastHeartbeatTime } } } }"
)


class _Count(msgspec.Struct):
    count: int


class _Daemon(msgspec.Struct, rename="camel"):
    daemon_type: str
    healthy: bool | None
    required: bool
    last_heartbeat_time: float | None


class _DaemonHealth(msgspec.Struct, rename="camel"):
    all_daemon_statuses: list[_Daemon]


class _Instance(msgspec.Struct, rename="camel"):
    daemon_health: _DaemonHealth


class DagsterUnavailable(Exception):
    """The web server does not answer, or not with what was asked."""


def read_dagster(client: httpx.Client, url: str, now: float) -> Iterator[Metric]:
    """Yield runs by status and the daemons' heartbeats.

    Args:
        client: Asks the web server.
        url: Of the web server.
        now: Unix seconds.

    Raises:
        DagsterUnavailable: It cannot be read.
    """
    try:
        answer = client.post(f"{url}/graphql", json={"query": _QUERY})
        answer.raise_for_status()
        data = msgspec.convert(msgspec.json.decode(answer.content)["data"], dict[str, object])
        counts = {one: msgspec.convert(data[one], _Count).count for one in STATUSES}
        daemons = msgspec.convert(data["instance"], _Instance).daemon_health.all_daemon_statuses
    except (httpx.HTTPError, msgspec.MsgspecError, KeyError) as error:
        raise DagsterUnavailable(f"{type(error).__name__}: {error}") from error
    yield gauges(
        "zmart_dagster_runs",
        "Dagster runs that are kept, by status.",
        ("status",),
        (((status.lower(),), count) for status, count in counts.items()),
    )
    required = [one for one in daemons if one.required]
    yield gauges(
        "zmart_dagster_daemon_healthy",
        "Whether a daemon of Dagster reports itself healthy.",
        ("daemon",),
        (((one.daemon_type.lower(),), float(bool(one.healthy))) for one in required),
    )
    beats = [one.last_heartbeat_time for one in required if one.last_heartbeat_time is not None]
    if beats:
        yield gauge(
            "zmart_dagster_daemon_silent_seconds",
            "Time since the most silent of these daemons gave a sign of life.",
            max(0.0, now - min(beats)),
        )
