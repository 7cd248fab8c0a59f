"""How full the connection pools of this process are, read at each scrape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy.pool import QueuePool

from api.statement_pool import open_statement_pools
from zmart_pipelines.store.engine import open_engines


class _Family(NamedTuple):
    name: str
    documentation: str
    labels: tuple[str, ...]


_SIZE: Final = _Family(
    "zmart_database_pool_connections_max",
    "Connections that the pools of a database role may open.",
    ("kind", "role"),
)
_USED: Final = _Family(
    "zmart_database_pool_connections_used",
    "Connections of these pools that are in use.",
    ("kind", "role"),
)
_WAITING: Final = _Family(
    "zmart_database_pool_waiting", "Statements that wait for a connection.", ("kind", "role")
)


class Saturation(Collector):
    """Reads the gauges; pools of one kind and role are added up."""

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges of this moment."""
        counts: Counter[tuple[_Family, tuple[str, ...]]] = Counter()
        for engine, role in open_engines():
            if isinstance(engine.pool, QueuePool):
                counts[_SIZE, ("threads", role.value)] += engine.pool.size()
                counts[_USED, ("threads", role.value)] += engine.pool.checkedout()
        for pool in open_statement_pools():
            labels = ("event_loop", pool.role.value)
            counts[_SIZE, labels] += pool.size
            counts[_USED, labels] += pool.used
            counts[_WAITING, labels] += pool.waiting
        yield from _families(counts.items())


def _families(
    counts: Iterable[tuple[tuple[_Family, tuple[str, ...]], int]],
) -> Iterator[Metric]:
    families: dict[_Family, GaugeMetricFamily] = {}
    for (family, labels), count in counts:
        if family not in families:
            families[family] = GaugeMetricFamily(
                family.name, family.documentation, labels=family.labels
            )
        families[family].add_metric(labels, count)
    yield from families.values()
