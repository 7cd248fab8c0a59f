"""``python -m api``: serve the API on the ports of the settings."""

from __future__ import annotations

import logging

from api.middleware.request_ids import LogFilter
from api.server import serve
from zmart_pipelines.settings import Settings

if __name__ == "__main__":
    settings = Settings()
    logging.basicConfig(
        level=logging.INFO,
        format=f"%(asctime)s %(levelname)s {settings.api_process_name} %(name)s [%(request_id)s]"
        " %(message)s",
    )
    for handler in logging.getLogger().handlers:
        handler.addFilter(LogFilter())
    # Alembic logs each check of the schema's version.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    serve(settings)
