"""Is the process able to answer, and is each service fresh?"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from litestar import Response, get
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.database import Database
from api.dependencies import TheDatabase, TheSettings, operation
from zmart_pipelines.store import migrate

_STARTED = time.monotonic()


def _schema(conn: Connection) -> bool:
    conn.execute(text("SELECT 1"))
    return migrate.current(conn)


async def _state(database: Database) -> tuple[str, str]:
    """Of Postgres (ok, down), of its migrations (ok, behind, unknown)."""
    try:
        current = await database.read(_schema)
    except (DBAPIError, PoolTimeout):
        return "down", "unknown"
    return "ok", "ok" if current else "behind"


@get(["/health", "/api/health"], operation_id=operation("getHealth"), tags=["health"])
async def process(settings: TheSettings, database: TheDatabase) -> Response[dict[str, Any]]:
    """Whether this process answers, reaches Postgres, and finds its tables; 503 if not."""
    postgres, migrations = await _state(database)
    healthy = (postgres, migrations) == ("ok", "ok")
    return Response(
        {
            "status": "healthy" if healthy else "unhealthy",
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "uptime": round(time.monotonic() - _STARTED, 3),
            "environment": settings.solana_cluster,
            "postgres": postgres,
            "migrations": migrations,
        },
        status_code=200 if healthy else 503,
    )


HANDLERS = [process]
