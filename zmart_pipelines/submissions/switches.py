"""Kill switches: one for each action and one for all of them.

An action that is switched off is still decided, planned and simulated, and its live attempts
are still watched to their verdict; nothing is signed for it and nothing is sent. A run looks
before every round, so that a switch takes hold within a second.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec
from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from zmart_pipelines.monitoring.alerts import AlertKey, clear_alert, raise_alert
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.tables.ops import switches as table
from zmart_pipelines.submissions.statuses import ACTIONS, Action

Name = Literal[Action, "all"]
NAMES: tuple[Name, ...] = ("all", *ACTIONS)


class Switch(msgspec.Struct, frozen=True):
    """One switch. ``changed_at`` is None where nobody ever touched it: it is on."""

    action: Name
    enabled: bool
    reason: str
    changed_at: datetime | None


def read_switches(conn: Connection) -> list[Switch]:
    """Every switch, that over all first."""
    rows = {row.action: row for row in conn.execute(select(table)).all()}
    return [
        Switch(name, rows[name].enabled, rows[name].reason, rows[name].changed_at)
        if name in rows
        else Switch(name, True, "", None)
        for name in NAMES
    ]


def disabled_actions(conn: Connection, settings: Settings) -> set[Action]:
    """The actions for which nothing may be sent: by their switch, the one over all, or
    ``SUBMISSIONS_ENABLED``.
    """
    stopped = {switch.action for switch in read_switches(conn) if not switch.enabled}
    if not settings.submissions_enabled or "all" in stopped:
        return set(ACTIONS)
    return {action for action in ACTIONS if action in stopped}


def set_switch(conn: Connection, action: Name, *, enabled: bool, reason: str = "") -> None:
    """Sets a switch; an alert is open while it is off, so that nobody forgets it.

    Committed by the caller. ValueError where there is no such action, or something is switched
    off without a reason.
    """
    if action not in NAMES:
        raise ValueError(f"action: {action!r} is none of {', '.join(NAMES)}")
    if not enabled and not reason.strip():
        raise ValueError("reason: say why it is switched off, for whoever finds it")
    values = {"enabled": enabled, "reason": reason.strip(), "changed_at": func.now()}
    conn.execute(
        insert(table)
        .values(action=action, **values)
        .on_conflict_do_update(index_elements=["action"], set_=values)
    )
    key = AlertKey("switch", subject=action)
    if enabled:
        clear_alert(conn, key)
        return
    what = "all submissions are" if action == "all" else f"{action} is"
    raise_alert(conn, key, "medium", f"{what} switched off: {reason.strip()}", {"action": action})
