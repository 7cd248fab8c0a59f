"""The exporter: one process that measures the whole system when Prometheus asks.

Each section is read by itself. One that fails is left out, and a metric says so; the others are
served. What was read is served again for a few seconds, so that no number of scrapes becomes a
load on the database.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import httpx
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from zmart_pipelines.chain.connect import connect
from zmart_pipelines.chain.jsonrpc import RateLimited, RpcError, RpcUnavailable
from zmart_pipelines.health.chain_tips import ChainTips, read_tips
from zmart_pipelines.metrics.chain_section import read_chain
from zmart_pipelines.metrics.dagster_section import DagsterUnavailable, read_dagster
from zmart_pipelines.metrics.database_section import read_figures
from zmart_pipelines.metrics.families import gauges
from zmart_pipelines.metrics.machine_section import read_machine
from zmart_pipelines.runtime.processes import dagster_url
from zmart_pipelines.runtime.state_folder import StateFolder
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import Role, engine

log = logging.getLogger("zmart.exporter")

FRESH_SECONDS: Final = 5.0
# Together less than Prometheus waits for a scrape (10 s).
STATEMENT_SECONDS: Final = 4.0
ANSWER_SECONDS: Final = 2.0
_FAULTS: Final = (
    SQLAlchemyError,
    RpcUnavailable,
    RpcError,
    RateLimited,
    DagsterUnavailable,
    OSError,
)


class Exporter(Collector):
    """Measures on request; used from the threads of the listener."""

    def __init__(self, settings: Settings) -> None:
        """Connect to nothing yet."""
        self._settings = settings
        self._state = StateFolder.of(settings)
        self._pool = engine(
            Role.READ, settings, pool_size=1, max_overflow=0, statement_timeout=STATEMENT_SECONDS
        )
        self._rpc = connect(
            settings,
            timeout=min(settings.rpc_timeout, ANSWER_SECONDS),
            attempts=1,
            patience=0.5,
        )
        self._http = httpx.Client(timeout=ANSWER_SECONDS, trust_env=False)
        self._lock = threading.Lock()
        self._measured: Sequence[Metric] = ()
        self._measured_at = float("-inf")
        self._faults: dict[str, str] = {}
        self._tips: ChainTips | None = None

    def collect(self) -> Iterator[Metric]:
        """Yield what was measured at most ``FRESH_SECONDS`` ago."""
        with self._lock:
            if time.monotonic() - self._measured_at >= FRESH_SECONDS:
                self._measured = list(self._measure())
                self._measured_at = time.monotonic()
            yield from self._measured

    def describe(self) -> Iterator[Metric]:
        """Yield nothing: registering must not measure."""
        return iter(())

    def _measure(self) -> Iterator[Metric]:
        sections: dict[str, Callable[[], Iterator[Metric]]] = {
            "chain": self._chain,
            "database": lambda: read_figures(self._pool, self._settings, self._tips),
            "dagster": lambda: read_dagster(self._http, dagster_url(self._settings), time.time()),
            "machine": lambda: read_machine(self._state),
        }
        outcomes: dict[str, tuple[bool, float]] = {}
        for name, read in sections.items():
            started = time.monotonic()
            found = self._read(name, read)
            outcomes[name] = (found is not None, time.monotonic() - started)
            yield from found or ()
        yield gauges(
            "zmart_exporter_section_up",
            "Whether a section of these metrics could be read; where not, its metrics are absent.",
            ("section",),
            (((name,), float(is_up)) for name, (is_up, _) in outcomes.items()),
        )
        yield gauges(
            "zmart_exporter_section_seconds",
            "Time that reading the section took.",
            ("section",),
            (((name,), seconds) for name, (_, seconds) in outcomes.items()),
        )

    def _read(self, name: str, read: Callable[[], Iterator[Metric]]) -> list[Metric] | None:
        """Return a section; None where it cannot be read, which is logged once for each cause."""
        try:
            found = list(read())
        except _FAULTS as error:
            cause = type(error).__name__
            if self._faults.get(name) != cause:
                log.warning("section %s of the metrics cannot be read: %s", name, error)
            self._faults[name] = cause
            return None
        if self._faults.pop(name, None) is not None:
            log.info("section %s of the metrics can be read again", name)
        return found

    def _chain(self) -> Iterator[Metric]:
        self._tips = None
        self._tips = read_tips(self._rpc)
        return read_chain(self._rpc, self._settings, self._tips)
