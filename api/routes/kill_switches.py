"""Kill switches of the submissions to the chain."""

from __future__ import annotations

from litestar import get

from api.dependencies import DatabaseDep, SettingsDep, error_responses
from api.kill_switches import KillSwitchList, kill_switches


@get("/api/submissions/switches", tags=["submissions"], responses=error_responses())
async def list_kill_switches(database: DatabaseDep, settings: SettingsDep) -> KillSwitchList:
    """List the kill switches, with the reason of each that is off."""
    return await database.read(lambda conn: kill_switches(conn, settings))


HANDLERS = [list_kill_switches]
