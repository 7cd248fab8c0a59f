"""Each process is given the secrets that it needs, and no others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from zmart_pipelines.runtime import process_environment
from zmart_pipelines.runtime.process_environment import SECRETS
from zmart_pipelines.runtime.processes import plan
from zmart_pipelines.runtime.state_folder import StateFolder
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import LOGINS, Role

KEYS = {
    *("BACKEND_AUTHORITY_KEYPAIR", "BACKEND_AUTHORITY_PRIVATE_KEY", "ADMIN_KEYPAIR"),
    *("ADMIN_PRIVATE_KEY", "RESOLVER_KEYPAIR", "RESOLVER_PRIVATE_KEY"),
}
URLS = {"REDIS_URL", "SOLANA_RPC_URL", "SOLANA_RPC_URLS"}
# What must be in each process's environment of all that is secret.
EXPECTED = {
    "migrate": {"DATABASE_URL", *(role.setting.upper() for role in LOGINS)},
    "api": {
        *("DATABASE_URL_API", "DATABASE_URL_INGEST", "DATABASE_URL_READ", "PINATA_JWT", *URLS),
        *("HELIUS_WEBHOOK_SECRET", "HELIUS_WEBHOOK_SECRET_PREVIOUS", "WEBHOOK_HMAC_SECRET"),
        *("SERVICE_API_KEY", "AUTH_SIGNING_KEY", "AUTH_SIGNING_KEY_PREVIOUS", "OTLP_HEADERS"),
    },
    "code-server": {
        *("DATABASE_URL_INGEST", "DATABASE_URL_PIPELINES", "DATABASE_URL_READ", "PINATA_JWT"),
        *(
            "ALERT_WEBHOOK_URL",
            "ALERT_URLS",
            "ALERT_SMTP_USER",
            "ALERT_SMTP_PASSWORD",
            "OTLP_HEADERS",
            "HELIUS_API_KEY",
            "HELIUS_WEBHOOK_SECRET",
            *URLS,
            *KEYS,
        ),
        *("DATABASE_URL_BACKUP", "BACKUP_KEY", "BACKUP_S3_SECRET_ACCESS_KEY"),
    },
    "wal-archive": {"DATABASE_URL_WAL"},
    "exporter": {"DATABASE_URL_READ", "SOLANA_RPC_URL", "SOLANA_RPC_URLS"},
    "daemon": set(),
    "webserver": set(),
    "watchdog": {
        *("DATABASE_URL_PIPELINES", "DATABASE_URL_DAGSTER", "REDIS_URL"),
        *("ALERT_WEBHOOK_URL", "ALERT_URLS", "ALERT_SMTP_USER", "ALERT_SMTP_PASSWORD"),
    },
}


def secret(name: str) -> str:
    """Return a value of a secret setting that names the setting."""
    if name.startswith("database_url"):
        return f"postgresql://login:secret-{name}@db.example:5432/zmart"
    if name.endswith("_keypair"):
        return f"/secret/{name}.json"
    if name.startswith("auth_signing_key"):
        return f"secret-{name}".ljust(43, "x")
    if name in ("solana_rpc_url", "solana_rpc_urls", "alert_webhook_url"):
        return f"https://rpc.example/secret-{name}"
    return f"redis://:secret-{name}@cache.example/0" if name == "redis_url" else f"secret-{name}"


@pytest.fixture
def environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Mapping[str, Mapping[str, str]]:
    """The environments of a system with every secret set, and more in our own environment."""
    for name in ("AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "database_url_api", "GITHUB_TOKEN"):
        monkeypatch.setenv(name, "secret-of-the-shell")
    values: dict[str, Any] = {name: secret(name) for name in Settings.secret_fields()}
    settings = Settings(**values, zmart_state=tmp_path)
    for name in values:
        monkeypatch.setenv(name.upper(), "secret-of-the-shell")
    state = StateFolder(tmp_path)
    state.prepare()
    return {one.name: one.environment for one in plan(settings, state).processes}


def test_each_process_has_the_secrets_that_are_listed_for_it(
    environments: Mapping[str, Mapping[str, str]],
) -> None:
    assert set(environments) == set(EXPECTED)
    names = {name.upper() for name in Settings.secret_fields()}
    for process, environment in environments.items():
        assert set(environment) & names == EXPECTED[process], process
        dagster = environment.get("DAGSTER_PG_PASSWORD")
        runs_dagster = process in ("code-server", "daemon", "webserver")
        assert dagster == ("secret-database_url_dagster" if runs_dagster else None)
        for name, value in environment.items():
            assert "secret" not in value or name in EXPECTED[process] | {"DAGSTER_PG_PASSWORD"}


def test_processes_inherit_no_secret_of_the_shell_and_read_no_env_file(
    environments: Mapping[str, Mapping[str, str]],
) -> None:
    for process, environment in environments.items():
        assert "secret-of-the-shell" not in environment.values(), process
        assert environment["ZMART_ENV_FILE"] == ""
        assert environment["ZMART_STATE"]
        assert environment["API_PORT"] == "4000", "settings that are no secrets are passed on"


@pytest.mark.process
def test_api_processes_share_ports_and_secrets_and_have_names(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.prepare()
    planned = plan(Settings(zmart_state=tmp_path, api_processes=3), state).processes
    apis = [one for one in planned if one.command[1:] == ("-m", "api")]
    assert [one.name for one in apis] == ["api", "api-2", "api-3"]
    assert [one.environment["API_PROCESS"] for one in apis] == ["1", "2", "3"]
    assert [len(one.ports) for one in apis] == [5, 0, 0], "each port is checked once"
    first, *others = [{**one.environment, "API_PROCESS": ""} for one in apis]
    assert others == [first, first]
    (postgres,) = [one for one in planned if one.name == "postgres"]
    assert "max_connections=320" in postgres.command


def test_only_processes_with_its_password_know_the_mail_server() -> None:
    settings = Settings(
        alert_smtp_host="mail.example.com",
        alert_smtp_user=SecretStr("zmart"),
        alert_smtp_password=SecretStr("password"),
        alert_mail_to="a@example.com",
    )
    for name in ("code-server", "watchdog"):
        environment = process_environment.process_environment(name, settings)
        assert environment["ALERT_SMTP_HOST"] == "mail.example.com"
        assert environment["ALERT_SMTP_USER"] == "zmart"
        assert environment["ALERT_SMTP_PASSWORD"] == "password"
    for name in ("api", "exporter", "demo"):
        assert not {"ALERT_SMTP_HOST", "ALERT_SMTP_USER", "ALERT_SMTP_PASSWORD"} & set(
            process_environment.process_environment(name, settings)
        )


def test_mail_user_and_password_belong_together() -> None:
    with pytest.raises(ValueError, match="together with ALERT_SMTP_PASSWORD"):
        Settings(alert_smtp_user=SecretStr("zmart"))


def test_every_secret_has_a_process_or_is_for_commands_alone() -> None:
    """A new secret must be listed for a process, or it reaches none."""
    given = frozenset().union(*SECRETS.values())
    assert given <= Settings.secret_fields()
    assert Settings.secret_fields() - given == set()


def test_secret_fields_are_found() -> None:
    names = Settings.secret_fields()
    assert {"database_url", "admin_keypair", "pinata_jwt", "redis_url"} <= names
    assert {"api_port", "program_id"}.isdisjoint(names)
    for name in names - {"backend_authority_keypair", "admin_keypair", "resolver_keypair"}:
        assert "SecretStr" in str(Settings.model_fields[name].annotation)
    assert not any("secret" in name or "private_key" in name for name in plain_fields(names))


def plain_fields(secrets: frozenset[str]) -> set[str]:
    return set(Settings.model_fields) - secrets


@pytest.mark.process
def test_embedded_postgres_gives_each_login_a_password_of_its_own(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.prepare()
    settings = plan(Settings(zmart_state=tmp_path), state).settings
    urls = [getattr(settings, role.setting) for role in Role]
    passwords = {url.get_secret_value().split(":")[2].split("@")[0] for url in urls}
    assert len(passwords) == len(Role)
    for role in LOGINS:
        file = state.secrets / f"postgres-{role.value}"
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.read_text().strip() in passwords
    assert plan(Settings(zmart_state=tmp_path), state).settings == settings, "kept"


def test_a_process_without_a_login_gets_none_from_another_process(tmp_path: Path) -> None:
    """The code location must not complete itself with the owner's login of the state folder."""
    from zmart_pipelines.runtime.running_system import require_running_system

    state = StateFolder(tmp_path)
    state.prepare()
    state.save_environment({"DATABASE_URL": "postgresql://owner:x@h/d"})
    given = Settings(zmart_state=tmp_path, database_url_read=SecretStr("postgresql://r:x@h/d"))
    found = require_running_system(given)
    assert "database_url" not in found.model_fields_set
    assert found.database_url_pipelines is None


def test_checks_run_without_keys() -> None:
    settings = Settings(backend_authority_private_key=SecretStr("k"))
    environment = process_environment.process_environment("checks", settings)
    assert KEYS.isdisjoint(environment)
