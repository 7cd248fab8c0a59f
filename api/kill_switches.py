"""Kill switches as clients read them."""

from __future__ import annotations

from typing import Literal

import msgspec
from sqlalchemy import Connection

from zmart_pipelines.client_schemas.formats import iso8601_or_none
from zmart_pipelines.settings import Settings
from zmart_pipelines.submissions import switches
from zmart_pipelines.submissions.statuses import ACTIONS


class KillSwitch(msgspec.Struct, frozen=True):
    """The kill switch of one action.

    `sends` is whether transactions of this action are signed and sent now, all switches and
    the setting considered; of the switch for all actions, whether those of any action are.
    """

    action: str
    enabled: bool
    sends: bool
    reason: str
    changed_at: str | None


class KillSwitchList(msgspec.Struct, frozen=True):
    """Every kill switch, first the one for all actions.

    `status` is `ok` if every action is sent, `partly_stopped` if some are and `stopped` if none
    is. `submissions_enabled` is the setting.
    """

    status: Literal["ok", "partly_stopped", "stopped"]
    submissions_enabled: bool
    switches: list[KillSwitch]


def kill_switches(conn: Connection, settings: Settings) -> KillSwitchList:
    """Return every kill switch, and what they and the setting stop."""
    disabled = switches.disabled_actions(conn, settings)
    any_sent = disabled != set(ACTIONS)
    return KillSwitchList(
        status="stopped" if not any_sent else "partly_stopped" if disabled else "ok",
        submissions_enabled=settings.submissions_enabled,
        switches=[
            KillSwitch(
                action=row.action,
                enabled=row.enabled,
                sends=any_sent if row.action == "all" else row.action not in disabled,
                reason=row.reason,
                changed_at=iso8601_or_none(row.changed_at),
            )
            for row in switches.read_switches(conn)
        ],
    )
