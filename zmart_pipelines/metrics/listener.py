"""The private listener on which a process serves its metrics.

It has a thread of its own, so that a scrape is answered while the process's event loop is busy.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, start_http_server

from zmart_pipelines.settings import Settings


def serve_metrics(settings: Settings, *, offset: int, registry: CollectorRegistry) -> int:
    """Serve ``/metrics`` until the process ends; return the port, or 0 where it is switched off.

    Args:
        settings: Name address and first port.
        offset: Which of the ports that follow METRICS_PORT is this process's.
        registry: What is served.

    Raises:
        SystemExit: The port is in use; the message names it and the remedy.
    """
    if not settings.metrics_port:
        return 0
    port = settings.metrics_port + offset
    try:
        start_http_server(port, settings.metrics_host, registry)
    except OSError as error:
        raise SystemExit(
            f"metrics cannot be served on {settings.metrics_host}:{port} ({error.strerror}); stop"
            " the process that uses the port, or set METRICS_PORT (0 serves no metrics)"
        ) from None
    return port
