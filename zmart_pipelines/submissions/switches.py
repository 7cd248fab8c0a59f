"""Kill switches: one for each action and one for all of them.

An action that is switched off is still planned and simulated, and its live attempts are still
observed until their verdict; nothing is signed for it and nothing is sent. A run reads the
switches before every round, so that they take effect within a second.
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
    """One switch. ``changed_at`` is None when it was never set: it is on."""

    action: Name
    enabled: bool
    reason: str
    changed_at: datetime | None


def read_switches(conn: Connection) -> list[Switch]:
    """Return every switch, the one for all actions first."""
    rows = {row.action: row for row in conn.execute(select(table)).all()}
    return [
        Switch(name, rows[name].enabled, rows[name].reason, rows[name].changed_at)
        if name in rows
        else Switch(name, True, "", None)
        for name in NAMES
    ]


def disabled_actions(conn: Connection, settings: Settings) -> set[Action]:
    """Return the actions for which nothing may be sent.

    They are disabled by their own switch, by the one for all or by ``SUBMISSIONS_ENABLED``.
    """
    disabled = {switch.action for switch in read_switches(conn) if not switch.enabled}
    if not settings.submissions_enabled or "all" in disabled:
        return set(ACTIONS)
    return {action for action in ACTIONS if action in disabled}


def set_switch(conn: Connection, action: Name, *, enabled: bool, reason: str = "") -> None:
    """Set a switch; an alert is open while it is off. Committed by the caller.

    Raises:
        ValueError: The action is unknown, or it is switched off without a reason.
    """
    if action not in NAMES:
        raise ValueError(f"action: {action!r} is not one of {', '.join(NAMES)}")
    if not enabled and not reason.strip():
        raise ValueError("reason: say why it is switched off")
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
