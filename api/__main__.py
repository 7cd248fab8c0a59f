"""``python -m api``: serve the API on the ports of the settings."""

from __future__ import annotations

from api.server import serve
from zmart_pipelines.settings import Settings
from zmart_pipelines.structured_logs import configure_logs

if __name__ == "__main__":
    settings = Settings()
    configure_logs(settings, part=settings.api_process_name)
    serve(settings)
