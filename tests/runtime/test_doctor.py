"""``zmart doctor`` against real parts, and each failure that it reports."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner
from pydantic import SecretStr
from solders.keypair import Keypair
from sqlalchemy import make_url

from tests.chain.helius_api import KEY, HeliusApi
from tests.fixtures.localnet import Localnet
from tests.fixtures.postgres import name_database
from tests.fixtures.running_system import PORTS
from zmart_pipelines.cli import main
from zmart_pipelines.runtime.doctor.findings import Finding
from zmart_pipelines.runtime.doctor.services import check_pinata
from zmart_pipelines.runtime.ports import unused_port
from zmart_pipelines.settings import Settings
from zmart_pipelines.store.engine import LOGINS

pytestmark = pytest.mark.process

SECRET = "hush-hush"


@pytest.fixture(autouse=True)
def fresh_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of a fresh machine: an empty state folder and free ports."""
    monkeypatch.setenv("ZMART_STATE", str(tmp_path / "state"))
    for name in PORTS:
        monkeypatch.setenv(name, str(unused_port()))
    monkeypatch.setenv("LOCALNET_PORT", str(unused_port(2)))
    monkeypatch.setenv("METRICS_PORT", str(unused_port(2)))


@pytest.fixture
def real_parts(
    database: str, redis_url: str, localnet: Localnet, monkeypatch: pytest.MonkeyPatch
) -> Localnet:
    """Settings that name a migrated database, a Redis and a local chain with its keys."""
    name_database(monkeypatch, database)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("SOLANA_RPC_URL", localnet.rpc_url)
    keys = localnet.state / "keys"
    monkeypatch.setenv("BACKEND_AUTHORITY_KEYPAIR", str(keys / "backend.json"))
    monkeypatch.setenv("ADMIN_KEYPAIR", str(keys / "admin.json"))
    monkeypatch.setenv("RESOLVER_KEYPAIR", str(keys / "admin.json"))
    return localnet


def diagnose() -> tuple[int, dict[str, Finding]]:
    """Run the command; the exit code and the findings by subject."""
    answer = CliRunner().invoke(main, ["doctor", "--json"])
    assert answer.exception is None or isinstance(answer.exception, SystemExit), answer.exception
    assert SECRET not in answer.output
    found = [Finding(**item) for item in json.loads(answer.output)]
    return answer.exit_code, {finding.subject: finding for finding in found}


def failure(subject: str) -> Finding:
    """Run the command, which must report that subject alone as failed.

    Other tests may have taken a port since this one chose it.
    """
    code, found = diagnose()
    assert code == 1
    failed = {f.subject for f in found.values() if f.status == "fail"}
    assert {one for one in failed if one == subject or not one.startswith("port ")} == {subject}
    assert found[subject].remedy
    return found[subject]


def test_fresh_machine_has_warnings_alone() -> None:
    code, found = diagnose()
    assert code == 0, found
    assert {f.subject for f in found.values() if f.status == "warn"} == {
        "Postgres",
        "Redis",
        "local chain",
        "backups",
    }
    assert "zmart up" in found["Postgres"].remedy


def test_real_parts_pass(real_parts: Localnet) -> None:
    code, found = diagnose()
    assert code == 0, found
    assert {f.subject for f in found.values() if f.status != "ok"} == {"backups"}
    assert "zmart backup" in found["backups"].remedy
    assert "the server is 18" in found["backup programs"].detail
    assert str(real_parts.keys["backend"].pubkey()) in found["backend authority key"].detail
    assert {
        "schema",
        "login of zmart_api",
        "login of zmart_backup",
        "Redis",
        "admin key",
        "resolver key",
    } <= set(found)


def test_each_finding_is_one_line(real_parts: Localnet) -> None:
    answer = CliRunner().invoke(main, ["doctor"])
    assert len(answer.output.splitlines()) == len(diagnose()[1])
    assert "ok   Redis: answers PING" in answer.output.splitlines()


@pytest.mark.usefixtures("real_parts")
def test_wrong_database_password(monkeypatch: pytest.MonkeyPatch, database: str) -> None:
    user, address = database.split("@")
    monkeypatch.setenv("DATABASE_URL", f"{user.rpartition(':')[0]}:{SECRET}@{address}")
    assert "password authentication failed" in failure("Postgres").detail


@pytest.mark.usefixtures("real_parts")
def test_backups_that_could_not_be_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("POSTGRES_BIN", str(tmp_path))
        assert "POSTGRES_BIN" in failure("backup programs").remedy
    monkeypatch.setenv("BACKUP_KEY", SECRET)
    assert "zmart backup key" in failure("backups").detail


@pytest.mark.usefixtures("real_parts")
def test_each_login_is_tried(monkeypatch: pytest.MonkeyPatch, database: str) -> None:
    for role in LOGINS:
        name = role.setting.upper()
        with monkeypatch.context() as patch:
            patch.delenv(name)
            found = failure(f"login of {role.value}")
            assert name in found.detail
            assert "zmart migrate" in found.remedy
            wrong = make_url(database).set(username=role.value, password=SECRET)
            patch.setenv(name, wrong.render_as_string(hide_password=False))
            found = failure(f"login of {role.value}")
            assert "password authentication failed" in found.detail
            assert name in found.remedy
            patch.setenv(name, database)  # the owner's, who has more rights
            assert failure(f"login of {role.value}").remedy


@pytest.mark.usefixtures("real_parts")
def test_database_without_schema(monkeypatch: pytest.MonkeyPatch, postgres_url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", f"{postgres_url.rpartition('/')[0]}/template1")
    assert failure("schema").remedy == "zmart migrate"


@pytest.mark.usefixtures("real_parts")
def test_database_of_another_version(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE public.schema_version SET version_num = 'older'")
    assert "zmart reset" in failure("schema").remedy


@pytest.mark.usefixtures("real_parts")
def test_wrong_redis_password(monkeypatch: pytest.MonkeyPatch, redis_url: str) -> None:
    address = redis_url.split("@")[1]
    monkeypatch.setenv("REDIS_URL", f"redis://:{SECRET}@{address}")
    assert "REDIS_URL" in failure("Redis").remedy


@pytest.mark.usefixtures("real_parts")
def test_endpoint_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    port = unused_port()
    monkeypatch.setenv("SOLANA_RPC_URL", f"http://127.0.0.1:{port}/?api-key={SECRET}")
    assert "SOLANA_RPC_URL" in failure(f"RPC http://127.0.0.1:{port}").remedy


def test_endpoint_of_another_cluster(real_parts: Localnet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOLANA_CLUSTER", "devnet")
    assert "not that of devnet" in failure(f"RPC http://127.0.0.1:{real_parts.port}").detail


def test_cluster_without_the_program(real_parts: Localnet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROGRAM_ID", str(Keypair().pubkey()))
    code, found = diagnose()
    assert code == 1
    assert "no program" in found[f"RPC http://127.0.0.1:{real_parts.port}"].detail
    assert "not on chain" in found["GlobalConfig"].detail


@pytest.mark.usefixtures("real_parts")
def test_key_file_that_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ADMIN_KEYPAIR", str(tmp_path / "none.json"))
    assert "cannot be read" in failure("admin key").detail


def test_key_file_that_others_can_read(real_parts: Localnet) -> None:
    (real_parts.state / "keys" / "backend.json").chmod(0o644)
    assert "chmod 600" in failure("backend authority key").detail


@pytest.mark.usefixtures("real_parts")
def test_key_file_without_a_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    file.write_text(f'["{SECRET}"]')
    file.chmod(0o600)
    monkeypatch.setenv("RESOLVER_KEYPAIR", str(file))
    assert "not a key file" in failure("resolver key").detail


def test_key_that_the_chain_does_not_name(
    real_parts: Localnet, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = real_parts.state / "keys"
    monkeypatch.setenv("BACKEND_AUTHORITY_KEYPAIR", str(keys / "admin.json"))
    assert str(real_parts.keys["backend"].pubkey()) in failure("backend authority key").remedy


def test_port_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        number = listener.getsockname()[1]
        monkeypatch.setenv("API_PORT", str(number))
        assert "API_PORT=" in failure(f"port {number}").remedy


def test_state_folder_that_cannot_be_created(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ZMART_STATE", str(tmp_path / "file" / "state"))
    assert "ZMART_STATE" in failure("state folder").remedy


def test_programs_that_are_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("POSTGRES_BIN", str(tmp_path))
    code, found = diagnose()
    assert code == 1
    failed = {name: one for name, one in found.items() if one.status == "fail"}
    # The programs that back up are searched in the same folder.
    assert {"Postgres program", "backup programs"} <= failed.keys()
    assert "POSTGRES_BIN" in failed["Postgres program"].remedy
    monkeypatch.delenv("POSTGRES_BIN")
    monkeypatch.setenv("REDIS_SERVER", str(tmp_path / "none"))
    assert "REDIS_SERVER" in failure("Redis program").remedy


def test_helius_key(monkeypatch: pytest.MonkeyPatch) -> None:
    api = HeliusApi()
    try:
        monkeypatch.setenv("HELIUS_API_URL", api.url)
        monkeypatch.setenv("HELIUS_API_KEY", KEY)
        assert diagnose()[1]["Helius"].detail.startswith("accepts the key")
        monkeypatch.setenv("HELIUS_API_KEY", SECRET)
        assert "HELIUS_API_KEY" in failure("Helius").remedy
    finally:
        api.close()


class PinataStub(http.server.BaseHTTPRequestHandler):
    """Stands in for Pinata: accepts the token ``good``."""

    def do_GET(self) -> None:
        is_good = self.headers["Authorization"] == "Bearer good"
        is_known = self.path == "/data/testAuthentication"
        self.send_response(404 if not is_known else 200 if is_good else 401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def pinata() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), PinataStub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_pinata_token(pinata: str) -> None:
    def check(token: str, url: str) -> Finding:
        return check_pinata(Settings(pinata_jwt=SecretStr(token), pinata_api_url=url))

    assert check("good", pinata).status == "ok"
    refused = check(SECRET, f"{pinata}/")
    assert (refused.status, refused.detail) == ("fail", "answers HTTP 401")
    away = check(SECRET, f"http://127.0.0.1:{unused_port()}")
    assert away.status == "fail"
    assert "PINATA_API_URL" in away.remedy
    assert SECRET not in repr((refused, away))
