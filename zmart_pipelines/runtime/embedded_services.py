"""The embedded services that ``zmart up`` runs, and the settings that result.

``DATABASE_URL`` and ``REDIS_URL`` replace the embedded servers by external ones,
``SOLANA_RPC_URL`` or ``SOLANA_RPC_URLS`` the local chain by a real cluster.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from zmart_pipelines.proofs.service_keys import PREFIX
from zmart_pipelines.runtime.os_accounts import server_account
from zmart_pipelines.runtime.postgres import PostgresServer, cluster_home, find_binaries
from zmart_pipelines.runtime.redis import RedisServer, find_server
from zmart_pipelines.runtime.signing_keys import signing_keys
from zmart_pipelines.runtime.state_folder import StateFolder, with_logins
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import LOGINS

# Connections to Postgres that an API process may have open at its default settings, and those of
# everything else.
_API_CONNECTIONS: Final = 60
_OTHER_CONNECTIONS: Final = 140


@dataclass(frozen=True)
class EmbeddedParts:
    """Which parts the settings leave to ``zmart up``."""

    postgres: bool
    redis: bool
    localnet: bool

    @classmethod
    def of(cls, settings: Settings) -> EmbeddedParts:
        """Return the parts for settings as given by environment and ``.env``."""
        given = settings.model_fields_set
        return cls(
            postgres="database_url" not in given,
            redis="redis_url" not in given,
            localnet="solana_rpc_url" not in given and settings.solana_rpc_urls is None,
        )

    def by_process(self) -> dict[str, bool]:
        """Return the same by the names of the supervised processes."""
        return {"postgres": self.postgres, "redis": self.redis, "localnet": self.localnet}


@dataclass(frozen=True)
class Embedded:
    """The embedded servers (``None``: an external one is used) and the completed settings."""

    settings: Settings
    postgres: PostgresServer | None
    redis: RedisServer | None
    localnet: Path | None

    @classmethod
    def choose(cls, settings: Settings, state: StateFolder) -> Embedded:
        """Choose for these settings; create the secrets and, for root, the cluster's folder.

        Raises:
            PostgresError: there are no usable Postgres binaries.
            RedisNotFound: there is no Redis program.
        """
        parts = EmbeddedParts.of(settings)
        postgres = _postgres(settings, state) if parts.postgres else None
        redis = _redis(settings, state) if parts.redis else None
        localnet = state.root / "localnet" if parts.localnet else None
        update: dict[str, Any] = {"zmart_state": state.root}
        if postgres is not None:
            update |= {role.setting: None for role in LOGINS}
            update["database_url"] = SecretStr(postgres.url())
            update["database_url_wal"] = SecretStr(postgres.archive_url())
        if redis is not None:
            update["redis_url"] = SecretStr(redis.url())
        if localnet is not None:
            update |= {
                "solana_rpc_url": SecretStr(f"http://127.0.0.1:{settings.localnet_port}"),
                "solana_cluster": "localnet",
                "backend_authority_keypair": localnet / "keys" / "backend.json",
                "admin_keypair": localnet / "keys" / "admin.json",
                "resolver_keypair": localnet / "keys" / "admin.json",
            }
        if settings.helius_webhook_secret is None:
            update["helius_webhook_secret"] = SecretStr(state.secret("webhook"))
        if settings.service_api_key is None:
            # The secret has the 43 characters that a key ends with.
            update["service_api_key"] = SecretStr(PREFIX + state.secret("service-api-key"))
        if settings.auth_signing_key is None:
            update |= {name: SecretStr(key) for name, key in signing_keys(state).items()}
        completed = with_logins(settings.model_copy(update=update), state, create=True)
        return cls(completed, postgres, redis, localnet)


def _postgres(settings: Settings, state: StateFolder) -> PostgresServer:
    account = server_account()
    return PostgresServer(
        home=cluster_home(state.root, account),
        port=settings.postgres_port,
        superuser_password=state.secret("postgres-superuser"),
        owner_password=state.secret("postgres-owner"),
        binaries=find_binaries(settings.postgres_bin),
        account=account,
        archive_password=state.secret("postgres-zmart_wal"),
        max_connections=_OTHER_CONNECTIONS + _API_CONNECTIONS * settings.api_processes,
    )


def _redis(settings: Settings, state: StateFolder) -> RedisServer:
    return RedisServer(
        home=state.root / "redis",
        port=settings.redis_port,
        password=state.secret("redis"),
        program=find_server(settings.redis_server),
    )
