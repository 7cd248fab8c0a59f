"""A server of reads under load, and what its answers cost in processor time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from types import MappingProxyType
from typing import Any, NamedTuple

import httpx
import msgspec

from benchmarks.http_load import Window, drive
from benchmarks.processes import cpu_of, cpu_of_family


class ReadServer(NamedTuple):
    """A server, its origin and its process; ``headers`` go with each request."""

    name: str
    url: str
    pid: int
    headers: Mapping[str, str] = MappingProxyType({})

    def get(self, path: str) -> Any:
        """Return an answer's JSON."""
        answer = httpx.get(self.url + path, headers=dict(self.headers), timeout=60, trust_env=False)
        answer.raise_for_status()
        return msgspec.json.decode(answer.content)


class Stores(NamedTuple):
    """The process ids of the servers that the readers share."""

    postgres: int
    redis: int


class Measured(NamedTuple):
    """One window with the processor seconds of one request."""

    window: Window
    server: float
    postgres: float
    redis: float

    @property
    def cpu(self) -> float:
        """Processor seconds of one request in all three."""
        return self.server + self.postgres + self.redis


def measure(
    server: ReadServer, stores: Stores, paths: Sequence[str], seconds: float, connections: int
) -> Measured:
    """Load the server for one window. Nothing else may use the stores meanwhile."""
    before = _cpu(server, stores)
    window = drive(server.url, paths, seconds, connections, server.headers)
    spent = [after - at for after, at in zip(_cpu(server, stores), before, strict=True)]
    return Measured(window, *(one / window.requests for one in spent))


def _cpu(server: ReadServer, stores: Stores) -> tuple[float, float, float]:
    return cpu_of_family(server.pid), cpu_of_family(stores.postgres), cpu_of(stores.redis)


class Side(NamedTuple):
    """The windows of one server."""

    name: str
    windows: list[Measured]

    @property
    def rate(self) -> float:
        """Median requests per second."""
        return median(one.window.rate for one in self.windows)

    @property
    def p99(self) -> float:
        """Median of the windows' 99th percentiles, in seconds."""
        return median(one.window.p99 for one in self.windows)

    @property
    def cpu(self) -> float:
        """Median processor seconds of one request."""
        return median(one.cpu for one in self.windows)

    def text(self) -> str:
        """Return the figures in words."""
        server, postgres, redis = (
            1e6 * median(getattr(one, part) for one in self.windows)
            for part in ("server", "postgres", "redis")
        )
        return (
            f"{self.name} {self.rate:,.0f} requests/s, p99 {self.p99 * 1e3:.1f} ms, CPU of one"
            f" {server:.0f} + {postgres:.0f} + {redis:.0f} µs"
        )


def ratio(ours: Side, theirs: Side) -> float:
    """Return the median, over windows that followed each other, of our rate by theirs."""
    pairs = zip(ours.windows, theirs.windows, strict=True)
    return median(a.window.rate / b.window.rate for a, b in pairs)
