"""The keys of access tokens: made once, kept to the owner, replaced without signing anyone out."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from zmart_pipelines.cli import main
from zmart_pipelines.proofs.access_tokens import SigningKey
from zmart_pipelines.runtime.signing_keys import rotate_signing_key, signing_keys
from zmart_pipelines.runtime.state_folder import StateFolder
from zmart_pipelines.settings import Settings


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    made = StateFolder(tmp_path / "state")
    made.prepare()
    return made


def test_key_is_made_once(state: StateFolder) -> None:
    first = signing_keys(state)
    assert signing_keys(state) == first
    assert list(first) == ["auth_signing_key"]
    SigningKey.parse(first["auth_signing_key"])
    Settings.model_validate(first)
    for file in state.secrets.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_current_key_becomes_the_previous(state: StateFolder) -> None:
    first = signing_keys(state)["auth_signing_key"]
    rotate_signing_key(state)
    rotated = signing_keys(state)
    assert rotated["auth_signing_key_previous"] == first
    assert rotated["auth_signing_key"] != first
    rotate_signing_key(state)
    assert signing_keys(state)["auth_signing_key_previous"] == rotated["auth_signing_key"]


def test_command_rotates_the_state_folders_key(state: StateFolder) -> None:
    first = signing_keys(state)["auth_signing_key"]
    environment = {"ZMART_STATE": str(state.root)}
    done = CliRunner().invoke(main, ["keys", "rotate-signing-key"], env=environment)
    assert done.exit_code == 0, done.output
    assert signing_keys(state)["auth_signing_key_previous"] == first
    assert first not in done.output
    # A key of the settings is not replaced here.
    environment["AUTH_SIGNING_KEY"] = first
    refused = CliRunner().invoke(main, ["keys", "rotate-signing-key"], env=environment)
    assert refused.exit_code == 1
    assert "AUTH_SIGNING_KEY_PREVIOUS" in refused.output
    assert first not in refused.output


@pytest.mark.parametrize("name", ["auth_signing_key", "auth_signing_key_previous"])
def test_malformed_key_is_refused_and_not_shown(name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({name: "too-short-a-key"})
    assert "43 characters" in str(caught.value)
    assert "too-short-a-key" not in str(caught.value)


def test_operators_are_addresses() -> None:
    with pytest.raises(ValidationError):
        Settings(operators="nobody")
    address = "6s8bbbCS7oNYNnTUHgrPDHG4jqaSrD6MSxQSPVR1rxw"
    assert len(Settings(operators=f"{address}, {address}").operator_wallets) == 1
