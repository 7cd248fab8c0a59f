"""``python -m zmart_pipelines.metrics``: run the exporter until SIGTERM."""

from __future__ import annotations

import signal
import threading

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry

from zmart_pipelines.metrics.exporter import Exporter
from zmart_pipelines.metrics.listener import serve_metrics
from zmart_pipelines.settings import Settings
from zmart_pipelines.structured_logs import configure_logs


def main() -> None:
    """Serve the metrics of the whole system."""
    settings = Settings()
    if not settings.metrics_port:
        raise SystemExit("METRICS_PORT is 0: no metrics are to be served")
    configure_logs(settings, part="exporter")
    registry = CollectorRegistry()
    for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR, Exporter(settings)):
        registry.register(collector)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    serve_metrics(settings, offset=0, registry=registry)
    stopped.wait()


if __name__ == "__main__":
    main()
