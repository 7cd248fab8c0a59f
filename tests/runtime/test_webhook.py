"""``zmart webhook`` against a stand-in for the Helius API, built from its documentation."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.chain.helius_api import KEY, HeliusApi
from zmart_pipelines.cli import main
from zmart_pipelines.settings import Settings

URL = "https://api.example.com/api/webhooks/helius"
SECRET = "first-secret-of-the-webhook"


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HeliusApi]:
    made = HeliusApi()
    monkeypatch.setenv("ZMART_STATE", str(tmp_path))
    monkeypatch.setenv("HELIUS_API_URL", made.url)
    monkeypatch.setenv("HELIUS_API_KEY", KEY)
    monkeypatch.setenv("HELIUS_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("SOLANA_CLUSTER", "devnet")
    yield made
    made.close()


def zmart(*words: str) -> Result:
    answer = CliRunner().invoke(main, ["webhook", *words])
    assert KEY not in answer.output
    assert answer.exception is None or isinstance(answer.exception, SystemExit)
    return answer


def register(url: str = URL) -> Result:
    answer = zmart("register", "--url", url)
    assert SECRET not in answer.output
    return answer


def test_register_creates_once_and_then_changes_nothing(api: HeliusApi) -> None:
    created = register()
    assert created.exit_code == 0, created.output
    assert "created" in created.output
    assert "active     yes" in created.output
    (hook,) = api.hooks.values()
    assert hook["webhookType"] == "rawDevnet"
    assert hook["accountAddresses"] == [Settings().program_id]
    assert (hook["authHeader"], hook["webhookURL"]) == (SECRET, URL)
    assert (hook["txnStatus"], hook["transactionTypes"]) == ("all", ["ANY"])
    assert "unchanged" in register().output
    assert api.edits == ["POST"]


def test_register_updates_the_webhook_with_the_url(
    api: HeliusApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = api.add(webhookURL="https://else.example", webhookType="raw", accountAddresses=["a"])
    before = dict(api.hooks[other])
    mine = api.add(webhookURL=URL, webhookType="enhanced", accountAddresses=["a"], active=False)
    monkeypatch.setenv("SOLANA_CLUSTER", "mainnet")
    done = register()
    assert done.exit_code == 0
    assert "updated: addresses, type, secret, active" in done.output
    assert api.edits == ["PUT", "PATCH"]
    assert api.hooks[mine]["webhookType"] == "raw"
    assert api.hooks[mine]["active"] is True
    assert api.hooks[other] == before


def test_two_webhooks_with_one_url_are_rejected(api: HeliusApi) -> None:
    for _ in range(2):
        api.add(webhookURL=URL, webhookType="raw", accountAddresses=["a"])
    refused = register()
    assert refused.exit_code == 2
    assert "delete all but one" in refused.output
    assert api.edits == []


def test_status_reports_inactive_webhooks_and_their_problems(api: HeliusApi) -> None:
    nothing = zmart("status")
    assert (nothing.exit_code, "no webhook watches" in nothing.output) == (1, True)
    register()
    assert zmart("status").exit_code == 0
    (hook,) = api.hooks.values()
    hook["active"] = False
    hook["authHeader"] = "another-secret"
    off = zmart("status")
    assert off.exit_code == 1
    assert "active     NO" in off.output
    assert "it is inactive" in off.output
    assert "another secret" in off.output
    assert "another-secret" not in off.output
    reported = zmart("status", "--json")
    facts = json.loads(reported.output)
    assert facts["webhooks"][0]["active"] is False
    assert len(facts["problems"][hook["webhookID"]]) == 2
    assert "another-secret" not in reported.output


def test_rotation_from_end_to_end(
    api: HeliusApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register()
    made = zmart("rotate")
    assert made.exit_code == 0
    new_file = tmp_path / "secrets" / "helius_webhook_secret"
    old_file = tmp_path / "secrets" / "helius_webhook_secret_previous"
    new = new_file.read_text()
    assert (old_file.read_text(), len(new) >= 43, new != SECRET) == (SECRET, True, True)
    assert stat.S_IMODE(new_file.stat().st_mode) == stat.S_IMODE(old_file.stat().st_mode) == 0o600
    assert new not in made.output
    assert SECRET not in made.output
    assert f'HELIUS_WEBHOOK_SECRET="$(cat {new_file})"' in made.output
    # Helius does not have it yet, and a second call generates no third secret.
    (hook,) = api.hooks.values()
    assert hook["authHeader"] == SECRET
    again = zmart("rotate", "--show")
    assert "in progress" in again.output
    assert f"HELIUS_WEBHOOK_SECRET={new}\n" in again.output
    assert f"HELIUS_WEBHOOK_SECRET_PREVIOUS={SECRET}\n" in again.output
    assert new_file.read_text() == new
    monkeypatch.setenv("HELIUS_WEBHOOK_SECRET", new)
    monkeypatch.setenv("HELIUS_WEBHOOK_SECRET_PREVIOUS", SECRET)
    # Another rotation would drop the secret that Helius still sends.
    early = zmart("rotate")
    assert early.exit_code == 2
    assert "register first" in early.output
    assert old_file.read_text() == SECRET
    reported = register()
    assert "updated: secret" in reported.output
    assert new not in reported.output
    assert hook["authHeader"] == new
    assert zmart("status").exit_code == 0
    assert "a new secret was generated" in zmart("rotate").output
    assert old_file.read_text() == new


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("HELIUS_API_KEY", None, "HELIUS_API_KEY is not set"),
        ("HELIUS_API_KEY", "wrong", "HELIUS_API_KEY is not accepted"),
        ("HELIUS_WEBHOOK_SECRET", None, "openssl rand"),
        ("HELIUS_WEBHOOK_SECRET", "short", "openssl rand"),
        ("SOLANA_CLUSTER", "localnet", "set SOLANA_CLUSTER"),
        ("HELIUS_API_URL", "http://api.example.com", "must be https"),
    ],
)
def test_missing_setting_is_named(
    api: HeliusApi,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str | None,
    words: str,
) -> None:
    if value is None:
        monkeypatch.delenv(variable)
    else:
        monkeypatch.setenv(variable, value)
    refused = register()
    assert refused.exit_code == 2
    assert words in refused.output
    assert api.edits == []


def test_secret_is_not_sent_to_a_plain_http_url(api: HeliusApi) -> None:
    refused = register("http://api.example.com/hook")
    assert refused.exit_code == 2
    assert "https" in refused.output
    assert api.edits == []
