"""What each process finds in its environment: the least that it needs.

Of the operating system's variables a process inherits a few that are harmless. Of the settings it
is given all that are no secrets, and only the secrets that are listed here for it. It reads no
``.env``, which could contain the others.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sqlalchemy import make_url

from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import LOGINS, Role, login_url

# Variables of the operating system, and prefixes of such, that are passed on.
_INHERITED: Final = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TERM", "TMPDIR"),
        *("LD_LIBRARY_PATH", "VIRTUAL_ENV", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE"),
        *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
        *("PGSSLMODE", "PGSSLROOTCERT"),
    }
)
_INHERITED_PREFIXES: Final = ("LC_", "PYTHON", "SSL_", "XDG_", "COVERAGE_", "MALLOC_")

_CHAIN: Final = frozenset({"solana_rpc_url", "solana_rpc_urls"})
_KEYS: Final = frozenset(
    {
        *("backend_authority_keypair", "backend_authority_private_key"),
        *("admin_keypair", "admin_private_key"),
        *("resolver_keypair", "resolver_private_key"),
    }
)
_TRACES: Final = frozenset({"otlp_headers"})
_ALERTS: Final = frozenset(
    {"alert_webhook_url", "alert_urls", "alert_smtp_user", "alert_smtp_password"}
)
_PIPELINES: Final = frozenset(
    {
        *(role.setting for role in (Role.INGEST, Role.PIPELINES, Role.READ)),
        *("redis_url", "pinata_jwt"),
        *_ALERTS,
        # Compared with what Helius has; the runs receive no deliveries.
        *("helius_api_key", "helius_webhook_secret"),
    }
)

_BACKUPS: Final = frozenset(
    {Role.BACKUP.setting, "backup_key", "backup_s3_secret_access_key"},
)

# The secrets of each process, by the names of their settings.
SECRETS: Final[Mapping[str, frozenset[str]]] = {
    "migrate": frozenset({"database_url", *(role.setting for role in LOGINS)}),
    "localnet": frozenset({"helius_webhook_secret"}),  # sends webhooks as Helius does
    "api": frozenset(
        {
            *(role.setting for role in (Role.API, Role.INGEST, Role.READ)),
            *("redis_url", "pinata_jwt"),
            *("helius_webhook_secret", "helius_webhook_secret_previous", "webhook_hmac_secret"),
            *("service_api_key", "auth_signing_key", "auth_signing_key_previous"),
        }
    )
    | _CHAIN
    | _TRACES,
    # Runs are forked from the code server; it alone signs.
    "code-server": _PIPELINES | _CHAIN | _KEYS | _BACKUPS | _TRACES,
    "checks": _PIPELINES | _CHAIN,
    # The steps of zmart restore.
    "restore": frozenset({"database_url", "backup_key", "backup_s3_secret_access_key"}),
    "catch-up": frozenset({Role.INGEST.setting}) | _CHAIN,
    "wal-archive": frozenset({"database_url_wal"}),
    # These two use Dagster's own tables, whose login is in the variables of deploy/dagster.yaml.
    "daemon": frozenset(),
    "webserver": frozenset(),
    # Reads, and asks the chain for slots and balances.
    "exporter": frozenset({Role.READ.setting}) | _CHAIN,
    "watchdog": frozenset({*(role.setting for role in (Role.PIPELINES, Role.DAGSTER)), "redis_url"})
    | _ALERTS,
    "demo": _CHAIN | {"service_api_key"},
}


def process_environment(name: str, settings: Settings) -> dict[str, str]:
    """Return the environment of the process with this name in ``SECRETS``."""
    own = settings.environment(SECRETS[name])
    if not SECRETS[name] >= _ALERTS:
        # It would try to send mail without the password, and be refused.
        own.pop("ALERT_SMTP_HOST", None)
    return {**inherited_environment(), "ZMART_ENV_FILE": "", **own}


def dagster_database(settings: Settings) -> dict[str, str]:
    """Return the variables by which deploy/dagster.yaml names the database of Dagster's tables.

    Raises:
        MissingLogin: The settings have no login for it.
    """
    database = make_url(login_url(Role.DAGSTER, settings))
    return {
        "DAGSTER_PG_HOST": database.host or "127.0.0.1",
        "DAGSTER_PG_PORT": str(database.port or 5432),
        "DAGSTER_PG_USERNAME": database.username or "",
        "DAGSTER_PG_PASSWORD": str(database.password or ""),
        "DAGSTER_PG_DB": database.database or "",
    }


def inherited_environment() -> dict[str, str]:
    """Return what child processes inherit of our own environment.

    Our Python's folder comes first in PATH, and bytecode is cached: a Dagster run is a new
    interpreter, which starts twice as slowly when it has to compile its imports.
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if name.upper() in _INHERITED or name.startswith(_INHERITED_PREFIXES)
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    scripts = str(Path(sys.executable).parent)
    environment["PATH"] = f"{scripts}{os.pathsep}{environment.get('PATH', os.defpath)}"
    environment["PYTHONUNBUFFERED"] = "1"
    return environment
