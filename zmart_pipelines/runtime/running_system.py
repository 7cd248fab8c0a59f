"""The settings of processes that are started beside ``zmart up``, such as ``dagster dev``."""

from __future__ import annotations

from zmart_pipelines.runtime.state_folder import StateFolder, with_running_system
from zmart_pipelines.runtime.supervisor import lock_holder
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import LOGINS


class SystemNotRunning(RuntimeError):
    """The settings name no database, and no system runs that would have one."""


def require_running_system(settings: Settings) -> Settings:
    """Return the settings completed by the running system's, unless they name logins or a database.

    A process with logins of its own, as ``zmart up`` starts it, is not given any others.

    Raises:
        SystemNotRunning: neither DATABASE_URL is set nor a system runs on the state folder.
    """
    if any(role.setting in settings.model_fields_set for role in LOGINS):
        return settings
    state = StateFolder.of(settings)
    if "database_url" not in settings.model_fields_set and lock_holder(state.lock) is None:
        raise SystemNotRunning(
            f"no system runs on {state.root}: start it with `make up` (or `zmart up`) first, or "
            "set DATABASE_URL"
        )
    return with_running_system(settings)
