"""Where settings come from, and the file that documents them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import SecretStr, ValidationError

from zmart_pipelines.cli import main
from zmart_pipelines.commands.settings import render_env_example
from zmart_pipelines.settings import Settings

EXAMPLE = Path(__file__).parents[2] / ".env.example"


@pytest.fixture
def env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The ``.env`` that Settings reads in this test."""
    file = tmp_path / ".env"
    monkeypatch.setitem(Settings.model_config, "env_file", file)
    return file


def test_env_file_is_read_and_the_environment_takes_precedence(
    env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env_file.write_text("API_PORT=4100\nWS_PORT=4101\nUNKNOWN=1\n")
    monkeypatch.setenv("WS_PORT", "4201")
    found = Settings()
    assert (found.api_port, found.ws_port) == (4100, 4201)
    assert {"api_port", "ws_port"} <= found.model_fields_set


def test_value_of_the_env_file_takes_precedence_over_the_running_system(
    env_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZMART_STATE", str(tmp_path))
    (tmp_path / "environment").write_text('{"API_PORT": "4300", "DAGSTER_PORT": "4301"}')
    env_file.write_text("API_PORT=4100\n")
    shown = json.loads(CliRunner().invoke(main, ["settings", "--json"]).output)
    assert (shown["API_PORT"], shown["DAGSTER_PORT"]) == ("4100", "4301")


def test_empty_value_counts_as_not_set(env_file: Path) -> None:
    env_file.write_text("BACKEND_AUTHORITY_KEYPAIR=\nDATABASE_URL=\nAPI_PORT=\n")
    found = Settings()
    assert found.backend_authority_keypair is None
    assert found.api_port == 4000
    assert "database_url" not in found.model_fields_set


def test_example_file_is_generated_from_the_settings() -> None:
    assert EXAMPLE.read_text() == render_env_example(), "run make env-example"


def test_example_file_with_every_line_uncommented_gives_the_defaults(env_file: Path) -> None:
    assignments = [
        line.removeprefix("#")
        for line in EXAMPLE.read_text().splitlines()
        if line.startswith("#") and not line.startswith("# ")
    ]
    assert len(assignments) == len(Settings.model_fields)
    env_file.write_text("\n".join(assignments))
    assert Settings() == Settings(_env_file=None)


def test_every_setting_has_a_description() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_example_file_shows_no_default_of_a_secret() -> None:
    text = EXAMPLE.read_text().splitlines()
    secrets = [
        name
        for name, field in Settings.model_fields.items()
        if "SecretStr" in str(field.annotation)
    ]
    assert len(secrets) > 10
    assert [name for name in secrets if f"#{name.upper()}=" not in text] == []


def test_settings_command_shows_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ZMART_STATE", str(tmp_path))
    monkeypatch.setenv("PINATA_JWT", "hush-hush")
    for options in ([], ["--json"], ["--env-example"]):
        answer = CliRunner().invoke(main, ["settings", *options])
        assert answer.exit_code == 0
        assert "hush" not in answer.output
    assert "PINATA_JWT=(set)" in CliRunner().invoke(main, ["settings"]).output
    assert isinstance(Settings().pinata_jwt, SecretStr)


@pytest.mark.parametrize(
    "url",
    [
        "https://user:secret@rpc.example.com",
        "https://rpc.example.com/?api-key=secret",
        "https://rpc.example.com/v2/secret",
        "https://rpc.example.com#secret",
        "wss://secret.example.com",
        "secret",
    ],
)
def test_rpc_url_of_browsers_holds_no_key(url: str) -> None:
    with pytest.raises(ValidationError, match="must not contain a key") as refused:
        Settings(public_rpc_url=url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"public_rpc_url": "https://api.devnet.solana.com/"}, "https://api.devnet.solana.com"),
        ({"solana_rpc_url": SecretStr("http://127.0.0.1:8899")}, "http://127.0.0.1:8899"),
        ({"solana_rpc_url": SecretStr("https://rpc.example.com")}, None),
        ({"solana_rpc_url": SecretStr("http://127.0.0.1:8899/?api-key=secret")}, None),
    ],
)
def test_browsers_get_the_public_endpoint_or_that_of_a_local_chain(
    values: dict[str, object], expected: str | None
) -> None:
    assert Settings.model_validate(values).browser_rpc_url == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"dagster_origins": "https://dagster.example.com"}, "https://dagster.example.com"),
        ({"dagster_port": 3100}, "http://localhost:3100"),
        ({"public_domain": "api.example.com"}, None),
    ],
)
def test_browsers_get_an_address_of_dagster_that_they_can_reach(
    values: dict[str, object], expected: str | None
) -> None:
    assert Settings.model_validate(values).dagster_url == expected
