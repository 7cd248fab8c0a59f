"""``python -m api``: serve the API on the ports of the settings."""

from __future__ import annotations

from api.server import serve
from zmart_pipelines.settings import Settings
from zmart_pipelines.structured_logs import configure_logs
from zmart_pipelines.tracing import configure_tracing, shut_down

if __name__ == "__main__":
    settings = Settings()
    configure_logs(settings, part=settings.api_process_name)
    configure_tracing(settings, part=settings.api_process_name)
    serve(settings)
    shut_down()
