"""Locations of clusters, programs and secrets."""

import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from zmart_pipelines.runtime import postgres as module
from zmart_pipelines.runtime.os_accounts import Account
from zmart_pipelines.runtime.postgres import (
    PostgresError,
    PostgresServer,
    cluster_home,
    find_binaries,
)
from zmart_pipelines.runtime.redis import RedisNotFound, find_server
from zmart_pipelines.runtime.state_folder import StateFolder, with_running_system
from zmart_pipelines.settings import Settings


@dataclass(frozen=True)
class RestrictedAccount(Account):
    """An account that can access only the files under one folder."""

    realm: Path

    def can_enter(self, folder: Path) -> bool:
        return folder.is_relative_to(self.realm)

    def can_execute(self, program: Path) -> bool:
        return program.is_relative_to(self.realm)


@pytest.fixture
def realm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "var"
    monkeypatch.setattr(module, "ROOT_DATA", folder)
    return folder


def restricted(realm: Path) -> RestrictedAccount:
    return RestrictedAccount("outsider", 65534, 65534, realm)


def test_cluster_is_in_the_state_folder(tmp_path: Path) -> None:
    assert cluster_home(tmp_path, None) == tmp_path / "postgres"
    assert cluster_home(tmp_path, restricted(tmp_path)) == tmp_path / "postgres"


def test_account_without_access_gets_a_cluster_outside(tmp_path: Path, realm: Path) -> None:
    root = tmp_path / "closed"
    root.mkdir(mode=0o700)
    home = cluster_home(root, restricted(realm))
    assert home.is_relative_to(realm)
    assert cluster_home(root, restricted(realm)) == home, "it is found again"
    assert stat.S_IMODE(root.stat().st_mode) == 0o700, "no mode was changed"


def test_new_state_folder_does_not_inherit_an_old_cluster(tmp_path: Path, realm: Path) -> None:
    root = tmp_path / "closed"
    root.mkdir()
    home = cluster_home(root, restricted(realm))
    (home / "data").mkdir()
    (root / "postgres.place").unlink()  # the state folder was deleted and made again
    assert cluster_home(root, restricted(realm)) == home
    assert not (home / "data").exists()
    assert len(list(realm.iterdir())) == 2, "the old one is kept aside"


@pytest.mark.process
def test_inaccessible_binaries_are_copied_and_run(tmp_path: Path, realm: Path) -> None:
    server = PostgresServer(
        home=tmp_path / "var" / "home",
        port=1,
        superuser_password="s",
        owner_password="o",
        binaries=find_binaries(),
        account=restricted(realm),
    )
    server.home.mkdir(parents=True)
    server._install()
    assert server.programs.is_relative_to(realm)
    for program in ("postgres", "initdb"):  # initdb loads libraries from beside the wheel
        answer = subprocess.run(
            [server.programs / program, "--version"], capture_output=True, check=True
        )
        assert answer.stdout.startswith(f"{program} (PostgreSQL) 18".encode())


@pytest.mark.process
def test_data_of_another_major_version_is_rejected_with_a_remedy(tmp_path: Path) -> None:
    server = PostgresServer(
        home=tmp_path,
        port=1,
        superuser_password="s",
        owner_password="o",
        binaries=find_binaries(),
        account=None,
    )
    server.data.mkdir()
    (server.data / "PG_VERSION").write_text("16\n")
    with pytest.raises(PostgresError, match=r"created by Postgres 16, .* POSTGRES_BIN"):
        server.prepare()


def test_folder_without_postgres_is_named(tmp_path: Path) -> None:
    with pytest.raises(PostgresError, match=str(tmp_path)):
        find_binaries(tmp_path)


def test_missing_redis_is_named(tmp_path: Path) -> None:
    with pytest.raises(RedisNotFound, match="REDIS_SERVER"):
        find_server(tmp_path / "redis-server")


def test_secrets_are_generated_once_and_private(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state")
    state.prepare()
    first = state.secret("webhook")
    assert state.secret("webhook") == first
    assert state.secret("other") != first
    assert len(first) >= 40
    assert stat.S_IMODE((state.secrets / "webhook").stat().st_mode) == 0o600
    assert stat.S_IMODE(state.secrets.stat().st_mode) == 0o700


def test_environment_takes_precedence_over_the_running_system(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.prepare()
    state.save_environment(
        {"DATABASE_URL": "postgresql://a:b@h/d", "API_PORT": "4100", "OTHER": "x"}
    )
    assert stat.S_IMODE(state.addresses.stat().st_mode) == 0o600
    found = with_running_system(Settings(zmart_state=tmp_path, api_port=4200))
    assert found.database_url.get_secret_value() == "postgresql://a:b@h/d"
    assert found.api_port == 4200
